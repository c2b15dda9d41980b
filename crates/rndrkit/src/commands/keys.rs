//! `rndrkit key …`.

use std::io::Read;

use rndrkit_api::key::{CreateKey, CreatedKey, Key, Receipt, RotateKey, UpdateKey};
use rndrkit_api::page::Page;
use rndrkit_api::verify::{VerifyAnswer, VerifyRequest};
use rndrkit_client::Client;
use rndrkit_domain::key_text::MAX_CREDENTIAL_BYTES;

use super::console::{Console, or_dash};
use super::{Exit, Failure, local};
use crate::cli::{CreateKeyArgs, KeyCommand, LabelKeyArgs, ListKeysArgs, RotateKeyArgs, VerifyArgs};

pub(super) async fn run(
    client: &Client,
    command: KeyCommand,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    match command {
        KeyCommand::Create(args) => create(client, args, console).await,
        KeyCommand::List(args) => list(client, args, console).await,
        KeyCommand::Label(args) => label(client, args, console).await,
        KeyCommand::Rotate(args) => rotate(client, &args, console).await,
        KeyCommand::Delete { key } => {
            let receipt = client.delete_key(&key).await.map_err(local::missing("key"))?;
            console.either(&receipt, show_receipt);
            Ok(Exit::Done)
        }
        KeyCommand::Verify(args) => verify(client, &args, console).await,
    }
}

/// Refuses a secret on the command line, before anything else can fail, and without repeating it.
pub(super) fn refuse_secret_argument(command: &KeyCommand) -> Result<(), Failure> {
    match command {
        KeyCommand::Verify(args) if !args.strays.is_empty() => Err(Failure::new(
            Exit::Usage,
            "key verify takes no argument; pipe the secret in, such as: rndrkit key verify < key.txt\n\
             A secret on a command line is seen by every user of the machine and kept in the shell's history. \
             If that was one, delete the key and create another.",
        )),
        _ => Ok(()),
    }
}

async fn create(client: &Client, args: CreateKeyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let key = CreateKey { name: args.name, environment: args.environment, expires_at: args.expires_at };
    let account = local::account_id(client, args.account).await?;
    let created = client.create_key(&account, &key, None).await.map_err(local::missing("account"))?;
    console.either(&created, |console, created: &CreatedKey| {
        console.facts(&[
            ("Key", Some(created.key.id.clone())),
            ("Name", Some(created.key.name.clone())),
            ("Environment", created.key.environment.clone()),
            ("Expires", created.key.expires_at.clone()),
        ]);
        local::show_secret(console, created.secret.as_ref());
    });
    Ok(Exit::Done)
}

async fn label(client: &Client, args: LabelKeyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let environment = if args.no_environment { Some(None) } else { args.environment.map(Some) };
    let update = UpdateKey { name: args.name, environment };
    let key = client.update_key(&args.key, &update).await.map_err(local::missing("key"))?;
    console.either(&key, |console, key: &Key| {
        console.facts(&[
            ("Key", Some(key.id.clone())),
            ("Name", Some(key.name.clone())),
            ("Environment", key.environment.clone()),
        ]);
    });
    Ok(Exit::Done)
}

async fn rotate(client: &Client, args: &RotateKeyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let rotation = RotateKey { overlap_seconds: args.overlap };
    let rotated = client.rotate_key(&args.key, &rotation, None).await.map_err(local::missing("key"))?;
    console.either(&rotated, |console, rotated: &CreatedKey| {
        let old = rotated.key.previous.as_ref();
        console.facts(&[
            ("Key", Some(rotated.key.id.clone())),
            ("Name", Some(rotated.key.name.clone())),
            ("Expires", rotated.key.expires_at.clone()),
            ("Old secret", old.map(|old| format!("{}… works until {}", old.mask, old.works_until))),
            ("Old secret", old.is_none().then(|| "refused everywhere".to_owned())),
        ]);
        local::show_secret(console, rotated.secret.as_ref());
    });
    Ok(Exit::Done)
}

async fn list(client: &Client, args: ListKeysArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let account = local::account_id(client, args.account).await?;
    let page = client.list_keys(&account, local::page(&args.page)).await;
    let page = page.map_err(local::missing("account"))?;
    console.either(&page, |console, page: &Page<Key>| {
        let row = |key: &Key| {
            [
                key.id.clone(),
                key.name.clone(),
                or_dash(key.environment.as_ref()),
                format!("{}…", key.mask),
                key.status.clone(),
                key.created_at.clone(),
                or_dash(key.last_used_at.as_ref()),
                or_dash(key.expires_at.as_ref()),
            ]
        };
        let rows: Vec<_> = page.data.iter().map(row).collect();
        console
            .table(["ID", "NAME", "ENVIRONMENT", "KEY", "STATUS", "CREATED", "LAST USED", "EXPIRES"], &rows);
        local::more(console, page.next_cursor.as_ref());
    });
    Ok(Exit::Done)
}

fn show_receipt(console: &mut Console<'_>, receipt: &Receipt) {
    console.line(format!("{} is revoked since {} and refused everywhere.", receipt.id, receipt.revoked_at));
    let nodes = if receipt.nodes_confirmed == 1 {
        "1 node".to_owned()
    } else {
        format!("{} nodes", receipt.nodes_confirmed)
    };
    let waited = match receipt.nodes_expired {
        0 => String::new(),
        count => format!(", {count} waited out"),
    };
    console.line(format!("Confirmed by {nodes}{waited} in {} ms.", receipt.took_ms));
}

async fn verify(client: &Client, args: &VerifyArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let question = VerifyRequest { secret: read_secret(console.input)?, cost: args.cost, context: None };
    let answer = client.verify(&question).await?;
    console.either(&answer, show_answer);
    Ok(if answer.valid { Exit::Done } else { Exit::No })
}

/// The secret from standard input, without the line break that `echo` adds.
fn read_secret(input: &mut dyn Read) -> Result<String, Failure> {
    let unreadable = |why: &str| Failure::new(Exit::Usage, format!("standard input: {why}"));
    let mut text = String::new();
    // One more than is looked at, and a line break, so that an overlong text is refused as such.
    let most = MAX_CREDENTIAL_BYTES as u64 + 3;
    input.take(most).read_to_string(&mut text).map_err(|error| unreadable(&error.to_string()))?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(unreadable("no secret; pipe it in, such as: rndrkit key verify < key.txt"));
    }
    Ok(secret.to_owned())
}

fn show_answer(console: &mut Console<'_>, answer: &VerifyAnswer) {
    console.line(if answer.valid { "valid" } else { "refused" });
    let account = answer.account.as_ref();
    let left = answer.rate_limit.as_ref().map(|limit| {
        format!("{} of {} requests left, {} a minute", limit.remaining, limit.burst, limit.per_minute)
    });
    let refusal = |text: String| Some(text).filter(|_| !answer.valid);
    console.facts(&[
        ("Code", refusal(format!("{} ({})", answer.code, answer.status))),
        ("Reason", answer.problem.as_ref().map(|problem| problem.detail.clone())),
        ("Key", answer.key.as_ref().map(|key| key.id.clone())),
        ("Account", account.map(|account| account.id.clone())),
        ("External id", account.and_then(|account| account.external_id.clone())),
        ("Plan", account.map(|account| format!("{} ({})", account.plan.name, account.plan.id))),
        ("Budget", left),
    ]);
}
