//! The command line as people see it: help, refusals, and what reaches the settings.

use clap::{CommandFactory, Parser};
use insta::assert_snapshot;

use super::{Cli, Command, KeyCommand};

fn help_of(path: &[&str]) -> String {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut command = &mut command;
    for name in path {
        command = command.find_subcommand_mut(name).unwrap();
    }
    command.render_help().to_string()
}

#[test]
fn the_help_names_every_command() {
    assert_snapshot!(help_of(&[]), @"
    Gives a software product its API keys: dashboard, gateway and operator API in one program

    Usage: rndrkit [OPTIONS] [COMMAND]

    Commands:
      serve    Serve the dashboard, the gateway and the operator API
      demo     Show a key's whole life on this machine, then stay up to be looked at
      account  Customers: their plans, their use, and links for their people
      key      API keys: create, list, rotate, delete, verify
      token    Tokens of the operator API
      config   The settings that hold, and where each came from
      migrate  Bring the database's schema up to date, without serving
      backup   Copy the SQLite database to a new file, also while the server runs
      audit    The audit trail: write all of it to a file that can be checked anywhere
      move     Move a stopped SQLite installation to an empty PostgreSQL database, for several nodes
      doctor   Check settings, data folder, database, ports and disk; works with the server down

    Options:
          --config <FILE>  Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml if it is
                           there]
      -h, --help           Print help
      -V, --version        Print version

    Without a command, rndrkit serves. Settings come from the defaults, a configuration file, the
    environment (RNDRKIT_…) and flags; `rndrkit config show --defaults` prints and explains them all.

    Exit codes: 0 done or valid, 1 a definite no, 2 wrong usage or settings, 3 unknown (unreachable,
    failing or too slow).
    ");
    assert_snapshot!(help_of(&["account"]), @"
    Customers: their plans, their use, and links for their people

    Usage: rndrkit account [OPTIONS] <COMMAND>

    Commands:
      create    Make an account
      list      List accounts, newest first
      show      Show one account
      set-plan  Move an account to another plan; holds everywhere when it answers
      suspend   Stop an account: its keys are refused until it is resumed
      resume    Let a suspended account go on
      usage     Show what an account's keys did
      link      Make a link for a person of an account; it works once

    Options:
          --json           Print the API's JSON
          --config <FILE>  Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml if it is
                           there]
      -h, --help           Print help

    Server:
          --url <URL>          Operator API of the server [default: internal_listen of the settings]
          --token-file <FILE>  File that holds the token, used when RNDRKIT_TOKEN is not set [default:
                               the data folder's]
    ");
    assert_snapshot!(help_of(&["key"]), @"
    API keys: create, list, rotate, delete, verify

    Usage: rndrkit key [OPTIONS] <COMMAND>

    Commands:
      create  Make a key and show its secret, this once
      list    List an account's keys, newest first
      label   Change a key's name, or where it is used
      rotate  Give a key another secret and show it, this once
      delete  Revoke a key: when this answers, it is refused everywhere
      verify  Decide on a secret read from standard input

    Options:
          --json           Print the API's JSON
          --config <FILE>  Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml if it is
                           there]
      -h, --help           Print help

    Server:
          --url <URL>          Operator API of the server [default: internal_listen of the settings]
          --token-file <FILE>  File that holds the token, used when RNDRKIT_TOKEN is not set [default:
                               the data folder's]
    ");
}

#[test]
fn the_help_of_commands_names_what_they_take() {
    assert_snapshot!(help_of(&["key", "create"]), @r#"
    Make a key and show its secret, this once

    Usage: rndrkit key create [OPTIONS] --account <ACCOUNT> --name <NAME>

    Options:
          --account <ACCOUNT>          Account id, or the account's e-mail address
          --name <NAME>                What the key is for, such as "CI/CD Pipeline"
          --environment <ENVIRONMENT>  Where it is used, such as production, staging or CI/CD
          --json                       Print the API's JSON
          --expires-at <TIME>          When it ends by itself, such as 2030-01-31T12:00:00Z [default:
                                       never]
          --config <FILE>              Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml
                                       if it is there]
      -h, --help                       Print help

    Server:
          --url <URL>          Operator API of the server [default: internal_listen of the settings]
          --token-file <FILE>  File that holds the token, used when RNDRKIT_TOKEN is not set [default:
                               the data folder's]
    "#);
    assert_snapshot!(help_of(&["token"]), @"
    Tokens of the operator API

    Usage: rndrkit token [OPTIONS] <COMMAND>

    Commands:
      create  Make a token and show its text, this once
      list    List tokens, newest first
      delete  End a token: when this answers, it is refused everywhere

    Options:
          --json           Print the API's JSON
          --config <FILE>  Configuration file [default: RNDRKIT_CONFIG, else ./rndrkit.toml if it is
                           there]
      -h, --help           Print help

    Server:
          --url <URL>          Operator API of the server [default: internal_listen of the settings]
          --token-file <FILE>  File that holds the token, used when RNDRKIT_TOKEN is not set [default:
                               the data folder's]
    ");
}

#[test]
fn the_definitions_hold_together_and_no_argument_takes_a_secret() {
    Cli::command().debug_assert();
    for wrong in [
        vec!["rndrkit", "token", "list", "--token", "t"],
        vec!["rndrkit", "serve", "--operator-token", "t"],
        vec!["rndrkit", "key", "label", "key_1"],
        vec!["rndrkit", "key", "label", "key_1", "--environment", "a", "--no-environment"],
        vec!["rndrkit", "key", "rotate", "key_1", "--secret", "t"],
        vec!["rndrkit", "key", "rotate", "key_1", "--overlap", "soon"],
    ] {
        let error = Cli::try_parse_from(&wrong).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{wrong:?}");
    }
}

#[test]
fn a_flag_reaches_the_settings() {
    let cli =
        Cli::try_parse_from(["rndrkit", "serve", "--config", "a.toml", "--public-listen", "127.0.0.1:9"])
            .unwrap();
    assert_eq!(cli.config.as_deref(), Some(std::path::Path::new("a.toml")));
    let Some(Command::Serve(flags)) = cli.command else { panic!("not serve") };
    assert_eq!(flags.0, [("public_listen".to_owned(), "127.0.0.1:9".to_owned())]);
}

#[test]
fn an_overlap_is_read_as_people_write_it() {
    let overlap = |text: &str| {
        let cli = Cli::try_parse_from(["rndrkit", "key", "rotate", "key_1", "--overlap", text]);
        cli.map(|cli| match cli.command {
            Some(Command::Key { command: KeyCommand::Rotate(args), .. }) => args.overlap,
            other => panic!("{other:?}"),
        })
    };
    for (text, seconds) in [("0", 0), ("90", 90), ("90s", 90), ("30m", 1_800), ("1h", 3_600), ("7d", 604_800)]
    {
        assert_eq!(overlap(text).unwrap(), Some(seconds), "{text}");
    }
    for wrong in ["", "h", "1w", "-1", "1.5h", "1h30m", "ü"] {
        assert!(overlap(wrong).is_err(), "{wrong:?}");
    }
}
