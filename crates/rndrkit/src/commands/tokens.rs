//! `rndrkit token …`.

use rndrkit_api::page::Page;
use rndrkit_api::token::{CreateToken, CreatedToken, DeletedToken, Token};
use rndrkit_client::Client;

use super::console::{Console, or_dash};
use super::{Exit, Failure, local};
use crate::cli::TokenCommand;

pub(super) async fn run(
    client: &Client,
    command: TokenCommand,
    console: &mut Console<'_>,
) -> Result<Exit, Failure> {
    match command {
        TokenCommand::Create(args) => {
            let token = CreateToken {
                name: args.name,
                scope: args.scope.as_str().to_owned(),
                expires_at: args.expires_at,
            };
            console.either(&client.create_token(&token, None).await?, show_created);
        }
        TokenCommand::List(args) => {
            console.either(&client.list_tokens(local::page(&args)).await?, show_list);
        }
        TokenCommand::Delete { token } => {
            let deleted = client.delete_token(&token).await.map_err(local::missing("token"))?;
            console.either(&deleted, |console, deleted: &DeletedToken| {
                console.line(format!("{} is deleted and refused everywhere.", deleted.id));
            });
        }
    }
    Ok(Exit::Done)
}

fn show_created(console: &mut Console<'_>, created: &CreatedToken) {
    console.facts(&[
        ("Token", Some(created.token.id.clone())),
        ("Name", Some(created.token.name.clone())),
        ("Scope", Some(created.token.scope.clone())),
        ("Expires", created.token.expires_at.clone()),
    ]);
    local::show_secret(console, created.secret.as_ref());
}

fn show_list(console: &mut Console<'_>, page: &Page<Token>) {
    let row = |token: &Token| {
        [
            token.id.clone(),
            token.name.clone(),
            token.scope.clone(),
            token.created_at.clone(),
            or_dash(token.expires_at.as_ref()),
        ]
    };
    let rows: Vec<_> = page.data.iter().map(row).collect();
    console.table(["ID", "NAME", "SCOPE", "CREATED", "EXPIRES"], &rows);
    local::more(console, page.next_cursor.as_ref());
}
