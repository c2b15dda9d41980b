//! `rndrkit account …`.

use rndrkit_api::account::{Account, CreateAccount, UpdateAccount};
use rndrkit_api::link::{CreateLink, Link};
use rndrkit_api::page::Page;
use rndrkit_client::{AccountFilter, Client};

use super::console::{Console, or_dash};
use super::{Exit, Failure, local, usage};
use crate::cli::{AccountCommand, CreateAccountArgs, LinkArgs, ListAccountsArgs};

pub(super) async fn run(
    client: &Client,
    command: AccountCommand,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    let update = |plan: Option<String>, status: Option<&str>| UpdateAccount {
        plan,
        status: status.map(str::to_owned),
        ..UpdateAccount::default()
    };
    match command {
        AccountCommand::Create(args) => {
            let account = client.create_account(&to_create(args), None).await?;
            console.either(&account, show);
        }
        AccountCommand::List(args) => return list(client, args, console).await,
        AccountCommand::Show { account } => {
            let id = local::account_id(client, account).await?;
            console.either(&client.account(&id).await.map_err(local::missing("account"))?, show);
        }
        AccountCommand::SetPlan(args) => {
            change(client, args.account, &update(Some(args.plan), None), console).await?;
        }
        AccountCommand::Suspend { account } => {
            change(client, account, &update(None, Some("suspended")), console).await?;
        }
        AccountCommand::Resume { account } => {
            change(client, account, &update(None, Some("active")), console).await?;
        }
        AccountCommand::Usage(args) => usage::show(client, args, console).await?,
        AccountCommand::Link(args) => {
            let (account, link) = to_link(args);
            let id = local::account_id(client, account).await?;
            let link = client.create_link(&id, &link).await.map_err(local::missing("account"))?;
            console.either(&link, show_link);
        }
    }
    Ok(Exit::Done)
}

async fn change(
    client: &Client,
    account: String,
    update: &UpdateAccount,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let id = local::account_id(client, account).await?;
    let account = client.update_account(&id, update).await.map_err(local::missing("account"))?;
    console.either(&account, show);
    Ok(())
}

fn to_create(args: CreateAccountArgs) -> CreateAccount {
    CreateAccount { email: args.email, name: args.name, plan: args.plan, external_id: args.external_id }
}

fn to_link(args: LinkArgs) -> (String, CreateLink) {
    let link = CreateLink {
        kind: args.kind.as_str().to_owned(),
        email: args.email,
        expires_in_seconds: args.expires_in_seconds,
        return_to: args.return_to,
    };
    (args.account, link)
}

async fn list(client: &Client, args: ListAccountsArgs, console: &mut Console<'_>) -> Result<Exit, Failure> {
    let filter = AccountFilter { email: args.email.as_deref(), external_id: args.external_id.as_deref() };
    let page = client.list_accounts(filter, local::page(&args.page)).await?;
    console.either(&page, |console, page: &Page<Account>| {
        let row = |account: &Account| {
            [
                account.id.clone(),
                account.email.clone(),
                account.name.clone(),
                account.plan.name.clone(),
                account.status.clone(),
                format!("{} of {}", account.keys.active, account.keys.limit),
                or_dash(account.external_id.as_ref()),
            ]
        };
        let rows: Vec<_> = page.data.iter().map(row).collect();
        console.table(["ID", "EMAIL", "NAME", "PLAN", "STATUS", "KEYS", "EXTERNAL ID"], &rows);
        local::more(console, page.next_cursor.as_ref());
    });
    Ok(Exit::Done)
}

fn show(console: &mut Console<'_>, account: &Account) {
    console.facts(&[
        ("Account", Some(account.id.clone())),
        ("External id", account.external_id.clone()),
        ("Email", Some(account.email.clone())),
        ("Name", Some(account.name.clone())),
        ("Plan", Some(format!("{} ({})", account.plan.name, account.plan.id))),
        ("Status", Some(account.status.clone())),
        ("Keys", Some(format!("{} of {} active", account.keys.active, account.keys.limit))),
        ("Created", Some(account.created_at.clone())),
    ]);
}

fn show_link(console: &mut Console<'_>, link: &Link) {
    console.line(&link.url);
    console.line(format!("Works once, until {}. Whoever has it can use it.", link.expires_at));
}
