//! Settings as a whole: which source wins, what is reported, what stays hidden.

use std::path::PathBuf;
use std::time::Duration;

use insta::assert_snapshot;

use super::*;

/// Sources in an empty folder; nothing of the machine's own environment.
struct Bench {
    folder: tempfile::TempDir,
    sources: Sources,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut sources = Sources::new(Environment::default());
        sources.default_file = folder.path().join("rndrkit.toml");
        Self { folder, sources }
    }

    fn file(self, text: &str) -> Self {
        std::fs::write(&self.sources.default_file, text).unwrap();
        self
    }

    fn environment(mut self, pairs: &[(&str, &str)]) -> Self {
        self.sources.environment = Environment::from_pairs(pairs.iter().copied());
        self
    }

    fn flags(mut self, flags: &[(&str, &str)]) -> Self {
        self.sources.flags = flags.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
        self
    }

    fn secret_file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn settings(&self) -> Settings {
        self.resolved().settings
    }

    fn resolved(&self) -> Resolved {
        load(&self.sources).unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// The report, with the folder's random name taken out.
    fn report(&self) -> String {
        let report = load(&self.sources).unwrap_err().to_string();
        report.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn with_nothing_written_the_defaults_of_the_contract_hold() {
    let settings = Bench::new().settings();
    assert_eq!(settings.storage.data_dir, PathBuf::from("rndrkit-data"));
    assert_eq!(settings.storage.database.url(), "sqlite://rndrkit-data/rndrkit.db");
    assert_eq!(settings.listeners.public.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.listeners.internal.to_string(), "127.0.0.1:8081");
    let listeners = &settings.listeners;
    assert!(listeners.gateway.or(listeners.authz).or(listeners.telemetry).is_none());
    assert!(listeners.tls.is_none() && listeners.trusted_proxies.is_empty());
    assert_eq!(listeners.shutdown, Duration::from_secs(25));
    let callers: Vec<String> = settings.access.authz_callers.iter().map(ToString::to_string).collect();
    assert_eq!(callers, ["127.0.0.0/8", "::1/128"]);
    assert!(settings.access.operator_token.or(settings.access.authz_secret).is_none());
    assert_eq!(settings.site.public_url.to_string(), "http://localhost:8080");
    assert_eq!((settings.site.sign_up, settings.site.billing), (SignUp::Invite, Billing::Off));
    assert_eq!((settings.site.brand_name.as_str(), settings.site.password_min_length), ("RndrKit", 15));
    assert_eq!(settings.product.key_prefix.as_str(), "rk_live_");
    assert_eq!(settings.product.default_plan.as_str(), "starter");
    assert_eq!(settings.product.rotate_after, Some(Duration::from_secs(180 * 86_400)));
    assert_eq!(settings.gateway.own_path, "/api/rk/");
    assert!(settings.gateway.routes.is_empty());
    assert_eq!((settings.decision.cache_keys, settings.decision.lookup_concurrency), (200_000, 32));
    assert_eq!(settings.decision.trust, Duration::from_secs(5));
    assert_eq!(settings.decision.beat, Duration::from_secs(1));
    assert!(settings.decision.node_name.is_none() && settings.storage.control.is_none());
    assert_eq!(settings.retention.audit, Duration::from_secs(400 * 86_400));
    assert_eq!(settings.retention.usage, Duration::from_secs(90 * 86_400));
    assert_eq!((settings.logging.format, settings.logging.level), (LogFormat::Text, LogLevel::Info));
}

#[test]
fn the_default_plans_are_those_of_the_specification() {
    let plans = Bench::new().settings().product.plans;
    let lines: Vec<String> = plans
        .iter()
        .map(|plan| {
            let rate = plan.rate_limit;
            let (access, keys) = (plan.api_access, plan.active_keys);
            format!("{} {} {access} {keys} {} {}", plan.id, plan.name, rate.per_minute, rate.burst)
        })
        .collect();
    assert_eq!(
        lines,
        [
            "starter Starter false 5 60 10",
            "pro Pro false 5 60 10",
            "agency Agency true 5 600 100",
            "agency_plus Agency+ true 5 3000 500",
        ]
    );
}

#[test]
fn the_later_source_wins_and_is_named() {
    let bench =
        Bench::new().file("log_level = 'warn'\nlog_format = 'json'\ncache_keys = 5\nbrand_name = 'A'");
    let bench = bench.environment(&[("RNDRKIT_LOG_LEVEL", "debug"), ("RNDRKIT_LOG_FORMAT", "text")]);
    let bench = bench.flags(&[("log_level", "trace")]);
    let Resolved { settings, shown } = bench.resolved();
    assert_eq!(settings.logging.level, LogLevel::Trace);
    assert_eq!(settings.logging.format, LogFormat::Text);
    assert_eq!(settings.decision.cache_keys, 5);
    let origin = |name: &str| {
        let row = shown.iter().find(|row| row.name == name).unwrap();
        row.origin.replace(&format!("{}/", bench.folder.path().display()), "")
    };
    assert_eq!(origin("log_level"), "flag --log-level");
    assert_eq!(origin("log_format"), "environment RNDRKIT_LOG_FORMAT");
    assert_eq!(origin("cache_keys"), "rndrkit.toml:3");
    assert_eq!(origin("beat_seconds"), "default");
    assert_eq!(origin("billing"), "default, by public_url");
}

#[test]
fn the_file_is_the_one_of_the_flag_then_of_the_environment_then_the_one_in_the_folder() {
    let mut bench = Bench::new().file("brand_name = 'folder'");
    assert_eq!(bench.settings().site.brand_name, "folder");
    let by_environment = bench.secret_file("b.toml", "brand_name = 'environment'");
    bench.sources.environment = Environment::from_pairs([("RNDRKIT_CONFIG", by_environment)]);
    assert_eq!(bench.settings().site.brand_name, "environment");
    bench.sources.config_flag = Some(bench.secret_file("c.toml", "brand_name = 'flag'").into());
    assert_eq!(bench.settings().site.brand_name, "flag");
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let mut bench = Bench::new();
    bench.sources.config_flag = Some(bench.folder.path().join("gone.toml"));
    assert_snapshot!(bench.report(), @"
    One setting is wrong:
      flag --config: gone.toml cannot be read: No such file or directory (os error 2)
    ");
}

#[test]
fn all_mistakes_of_all_sources_are_reported_at_once() {
    let bench = Bench::new().file(
        "public_listen = 8080\ntrusted_proxies = ['10.0.0.0/8', 'proxy']\nlog_levle = 'info'\n\
         password_min_length = 4\ncolour = 'red'\nauthz_secret = 'short'\nplans = 3\nown_path = '/rk'\n\
         public_url = 'keys.example'\nupstream_url = 'http://ada:hunter2@upstream'\n",
    );
    let bench = bench.environment(&[
        ("RNDRKIT_CACHE_KEYS", "many"),
        ("RNDRKIT_INSECURE_HTTP", "yes"),
        ("RNDRKIT_PUBLIC_URI", "https://keys.example"),
        ("RNDRKIT_ROUTES", "/api/"),
        ("RNDRKIT_OPERATOR_TOKEN_FILE", "/nowhere/token"),
    ]);
    let bench = bench.flags(&[("log_format", "xml"), ("beat_seconds", "0")]);
    assert_snapshot!(bench.report(), @r#"
    17 settings are wrong:
      rndrkit.toml:1: public_listen = 8080: must be an address and port, such as 127.0.0.1:8080 or [::1]:8080
      rndrkit.toml:2: trusted_proxies = ["10.0.0.0/8", "proxy"]: must be addresses or networks, such as 10.0.0.0/8 or ::1
      rndrkit.toml:3: log_levle: unknown setting; did you mean log_level?
      rndrkit.toml:4: password_min_length = 4: must be a whole number from 8 to 64
      rndrkit.toml:5: colour: unknown setting; `rndrkit config show --defaults` lists all
      rndrkit.toml:6: authz_secret: must be 16 to 512 visible ASCII characters
      rndrkit.toml:7: plans = 3: must be written as [[plans]]
      rndrkit.toml:8: own_path = "/rk": must be a path below /api/ that ends with /, such as /api/rk/
      rndrkit.toml:9: public_url = "keys.example": must be http:// or https://, a host and perhaps a port, and nothing else, such as http://127.0.0.1:3000
      rndrkit.toml:10: upstream_url = "http://…@upstream": must be http:// or https://, a host and perhaps a port, and nothing else, such as http://127.0.0.1:3000
      environment RNDRKIT_OPERATOR_TOKEN_FILE: operator_token_file = "/nowhere/token": this file cannot be read: No such file or directory (os error 2)
      environment RNDRKIT_PUBLIC_URI: public_uri: unknown setting; did you mean public_url?
      environment RNDRKIT_ROUTES: routes: write [[routes]] into the configuration file
      environment RNDRKIT_INSECURE_HTTP: insecure_http = "yes": must be true or false
      environment RNDRKIT_CACHE_KEYS: cache_keys = "many": must be a whole number from 1 to 20,000,000
      flag --beat-seconds: beat_seconds = "0": must be a whole number from 1 to 15
      flag --log-format: log_format = "xml": must be text or json
    "#);
}

#[test]
fn settings_are_checked_against_each_other_also_when_others_are_wrong() {
    let bench = Bench::new().environment(&[
        ("RNDRKIT_PUBLIC_LISTEN", "foo"),
        ("RNDRKIT_BILLNG", "off"),
        ("RNDRKIT_PASSWORD_MIN_LENGTH", "abc"),
        ("RNDRKIT_PUBLIC_URL", "http://api.example.com"),
    ]);
    assert_snapshot!(bench.report(), @r#"
    4 settings are wrong:
      environment RNDRKIT_BILLNG: billng: unknown setting; did you mean billing?
      environment RNDRKIT_PUBLIC_LISTEN: public_listen = "foo": must be an address and port, such as 127.0.0.1:8080 or [::1]:8080
      environment RNDRKIT_PASSWORD_MIN_LENGTH: password_min_length = "abc": must be a whole number from 8 to 64
      environment RNDRKIT_PUBLIC_URL: public_url = "http://api.example.com": must be https beyond loopback names; put a proxy with HTTPS in front, or set tls_certificate and tls_key, or, knowing that passwords and keys then travel readable, insecure_http = true
    "#);
    let bench = Bench::new().file(
        "database_url = 'postgres://rk@db/rk'\nauthz_callers = ['proxy']\ninternal_listen = '127.0.0.1:9000'\n\
         gateway_listen = '127.0.0.1:9000'\nshutdown_seconds = 0\ntls_certificate = 'c.pem'\ntls_key = 'k.pem'\n\
         brand_name = ''\ndefault_plan = 'gold'\nkey_prefix = '?'\ntrust_seconds = 3\ncache_keys = 0",
    );
    assert_snapshot!(bench.report(), @r#"
    10 settings are wrong:
      default: public_url = "http://localhost:8080": must be https when tls_certificate is set
      rndrkit.toml:2: authz_callers = ["proxy"]: must be addresses or networks, such as 10.0.0.0/8 or ::1
      rndrkit.toml:4: gateway_listen = "127.0.0.1:9000": is taken by internal_listen; each listener needs an address of its own
      rndrkit.toml:5: shutdown_seconds = 0: must be a whole number from 1 to 600
      rndrkit.toml:9: default_plan = "gold": must be the id of a plan: starter, pro, agency, agency_plus
      rndrkit.toml:10: key_prefix = "?": must be 2 to 10 characters a-z and 0-9 that begin with a letter, perhaps _ and 1 to 8 more, and a final _, such as rk_live_
      rndrkit.toml:11: trust_seconds = 3: must be at least four times beat_seconds
      rndrkit.toml:12: cache_keys = 0: must be a whole number from 1 to 20,000,000
      brand_name: must be 1 to 64 characters
      operator_token: with PostgreSQL you must give it, 32 characters or more, the same on every node; a good one: openssl rand -hex 32
    "#);
}

#[test]
fn an_address_past_a_pooler_is_for_postgresql_and_stays_hidden() {
    let bench = Bench::new().file("database_control_url = 'postgres://rk:hunter2@db/rk'");
    let report = bench.report();
    assert!(report.contains("needs a database_url that begins with postgres://"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_mail_server_needs_a_sender_and_its_address_stays_hidden() {
    let report = Bench::new().file("smtp_url = 'smtp://ada:hunter2@mail.example?tls=none'").report();
    assert!(report.contains("smtp_url: would send the password readable"), "{report}");
    assert!(report.contains("smtp_url: needs mail_from beside it"), "{report}");
    assert!(!report.contains("hunter2"), "{report}");
}

#[test]
fn a_broken_line_is_reported_without_repeating_it() {
    let bench = Bench::new().file("authz_secret = \"hunter2hunter2hunter2\nlog_level = 'info'\n");
    let report = bench.report();
    assert!(!report.contains("hunter2"), "{report}");
    assert!(report.contains("rndrkit.toml:1: not TOML"), "{report}");
}

#[test]
fn wrong_plans_are_reported_with_their_place() {
    let plan =
        "id = 'a'\nname = 'A'\napi_access = true\nactive_keys = 5\nrequests_per_minute = 60\nburst = 1";
    let wrong =
        "id = 'Big'\nname = ''\napi_access = 'yes'\nactive_keys = -1\nrequests_per_minute = 0\nbrust = 1";
    let bench = Bench::new()
        .file(&format!("default_plan='a'\n[[plans]]\n{plan}\n[[plans]]\n{wrong}\n[[plans]]\n{plan}"));
    assert_snapshot!(bench.report(), @r#"
    8 settings are wrong:
      rndrkit.toml:9: plans[2].burst: is missing; it must be a whole number from 1 to 1,000,000
      rndrkit.toml:10: plans[2].id = "Big": must be 1 to 32 characters a-z, 0-9 and _, beginning with a letter
      rndrkit.toml:11: plans[2].name = "": must be 1 to 64 characters
      rndrkit.toml:12: plans[2].api_access = "yes": must be true or false
      rndrkit.toml:13: plans[2].active_keys = -1: must be a whole number from 0 to 1,000
      rndrkit.toml:14: plans[2].requests_per_minute = 0: must be a whole number from 1 to 60,000,000
      rndrkit.toml:15: plans[2].brust: unknown; did you mean burst?
      rndrkit.toml:17: plans[3].id = "a": another plan has this id
    "#);
}

#[test]
fn plans_of_ones_own_replace_the_defaults_and_the_default_plan_must_be_one_of_them() {
    let plan = "[[plans]]\nid = 'solo'\nname = 'Solo'\napi_access = true\nactive_keys = 1\n\
                requests_per_minute = 60\nburst = 1";
    assert_snapshot!(Bench::new().file(plan).report(), @r#"
    One setting is wrong:
      default: default_plan = "starter": must be the id of a plan: solo
    "#);
    let settings = Bench::new().file(&format!("default_plan = 'solo'\n{plan}")).settings();
    assert_eq!(settings.product.plans.len(), 1);
    assert_snapshot!(Bench::new().file("plans = []").report(), @"
    One setting is wrong:
      rndrkit.toml:1: plans = []: there must be 1 to 100 [[plans]]
    ");
}

#[test]
fn routes_are_read_with_their_defaults_and_upstream_url_is_one_more() {
    let bench = Bench::new().file(
        "upstream_url = 'http://127.0.0.1:3000'\n[[routes]]\npath = '/api/webhooks/'\n\
         upstream = 'https://hooks.internal:8443'\nkey = 'none'\nhost = 'upstream'\npreflight = 'pass'\n\
         [[routes]]\npath = '/api/v2/'\nupstream = 'http://127.0.0.1:3002'",
    );
    let routes = bench.settings().gateway.routes;
    let words: Vec<_> = routes.iter().map(|r| (r.path.as_str(), r.upstream.to_string(), r.words())).collect();
    assert_eq!(
        words,
        [
            ("/api/webhooks/", "https://hooks.internal:8443/".to_owned(), ["none", "upstream", "pass"]),
            ("/api/v2/", "http://127.0.0.1:3002/".to_owned(), ["required", "client", "refuse"]),
            ("/api/", "http://127.0.0.1:3000/".to_owned(), ["required", "client", "refuse"]),
        ]
    );
}

#[test]
fn wrong_routes_are_reported_with_their_place() {
    let bench = Bench::new().file(
        "upstream_url = 'http://127.0.0.1:3000'\n[[routes]]\npath = '/v1/'\nupstream = 'http://a/b'\n\
         key = 'maybe'\n[[routes]]\npath = '/api/'\nupstream = 'http://a'\n[[routes]]\npath = '/api/'\n\
         upstream = 'http://a'\n[[routes]]\npath = '/api/rk/x/'\nupstream = 'http://a'\nupstraem = 'http://a'",
    );
    assert_snapshot!(bench.report(), @r#"
    7 settings are wrong:
      rndrkit.toml:1: upstream_url = "http://127.0.0.1:3000": is short for a route with path /api/, and [[routes]] has one too
      rndrkit.toml:3: routes[1].path = "/v1/": must be /api/ or a path below it that ends with /; other paths need gateway_listen
      rndrkit.toml:4: routes[1].upstream = "http://a/b": must be http:// or https://, a host and perhaps a port, and nothing else, such as http://127.0.0.1:3000
      rndrkit.toml:5: routes[1].key = "maybe": must be required or none
      rndrkit.toml:10: routes[3].path = "/api/": another route has this path
      rndrkit.toml:13: routes[4].path = "/api/rk/x/": is inside own_path, which rndrkit answers itself
      rndrkit.toml:15: routes[4].upstraem: unknown; did you mean upstream?
    "#);
}

#[test]
fn a_gateway_listener_takes_routes_on_every_path() {
    let file = "gateway_listen = '127.0.0.1:9000'\n[[routes]]\npath = '/'\nupstream = 'http://a'\n\
                [[routes]]\npath = '/api/rk/'\nupstream = 'http://b'";
    assert_eq!(Bench::new().file(file).settings().gateway.routes.len(), 2);
}

#[test]
fn a_public_address_asks_for_https_and_for_someone_who_sells_plans() {
    let remote = |more: &str| Bench::new().file(&format!("public_url = 'https://keys.example'\n{more}"));
    assert_eq!(remote("").settings().site.billing, Billing::Operator);
    assert_eq!(remote("sign_up = 'open'").settings().site.sign_up, SignUp::Open);
    assert_snapshot!(remote("sign_up = 'open'\nbilling = 'off'").report(), @r#"
    One setting is wrong:
      rndrkit.toml:2: sign_up = "open": open together with billing = "off" would give every stranger every plan; set one of them otherwise
    "#);
    assert_snapshot!(Bench::new().file("public_url = 'http://keys.example'").report(), @r#"
    One setting is wrong:
      rndrkit.toml:1: public_url = "http://keys.example": must be https beyond loopback names; put a proxy with HTTPS in front, or set tls_certificate and tls_key, or, knowing that passwords and keys then travel readable, insecure_http = true
    "#);
    let insecure = Bench::new().file("public_url = 'http://keys.example'\ninsecure_http = true");
    assert!(insecure.settings().site.insecure_http);
    assert_eq!(Bench::new().file("sign_up = 'open'").settings().site.billing, Billing::Off);
}

#[test]
fn certificate_and_key_belong_together_and_to_an_https_address() {
    assert_snapshot!(Bench::new().file("tls_key = 'k.pem'").report(), @r#"
    One setting is wrong:
      rndrkit.toml:1: tls_key = "k.pem": needs tls_certificate beside it
    "#);
    assert_snapshot!(Bench::new().file("tls_key = 'k.pem'\ntls_certificate = 'c.pem'").report(), @r#"
    One setting is wrong:
      default: public_url = "http://localhost:8080": must be https when tls_certificate is set
    "#);
    let both = "public_url = 'https://a.example'\ntls_key = 'k.pem'\ntls_certificate = 'c.pem'";
    let files = Bench::new().file(both).settings().listeners.tls.unwrap();
    assert_eq!((files.certificate, files.key), (PathBuf::from("c.pem"), PathBuf::from("k.pem")));
}

#[test]
fn two_listeners_on_one_address_are_refused_and_free_ports_are_not() {
    let same = "internal_listen = '127.0.0.1:8080'\nauthz_listen = '0.0.0.0:8080'";
    assert_snapshot!(Bench::new().file(same).report(), @r#"
    2 settings are wrong:
      rndrkit.toml:1: internal_listen = "127.0.0.1:8080": is taken by public_listen; each listener needs an address of its own
      rndrkit.toml:2: authz_listen = "0.0.0.0:8080": is taken by public_listen; each listener needs an address of its own
    "#);
    let free = "public_listen = '127.0.0.1:0'\ninternal_listen = '127.0.0.1:0'";
    assert_eq!(Bench::new().file(free).settings().listeners.public.port(), 0);
}

#[test]
fn postgres_needs_an_operator_token_of_32_characters() {
    let file = "database_url = 'postgres://rk:hunter2@db/rk'";
    assert_snapshot!(Bench::new().file(file).report(), @"
    One setting is wrong:
      operator_token: with PostgreSQL you must give it, 32 characters or more, the same on every node; a good one: openssl rand -hex 32
    ");
    let short = Bench::new().file(file).environment(&[("RNDRKIT_OPERATOR_TOKEN", "hunter2hunter2")]);
    assert_snapshot!(short.report(), @"
    One setting is wrong:
      environment RNDRKIT_OPERATOR_TOKEN: operator_token: must be 32 to 512 visible ASCII characters
    ");
    let given = Bench::new().file(file).environment(&[("RNDRKIT_OPERATOR_TOKEN", &"t".repeat(32))]);
    let settings = given.settings();
    assert_eq!(settings.storage.database.url(), "postgres://rk:hunter2@db/rk");
    assert_eq!(settings.access.operator_token.unwrap().reveal(), "t".repeat(32));
}

#[test]
fn the_database_file_follows_the_data_folder() {
    let settings = Bench::new().flags(&[("data_dir", "/var/lib/rk")]).settings();
    assert_eq!(settings.storage.database.url(), "sqlite:///var/lib/rk/rndrkit.db");
    for wrong in ["sqlite::memory:", "mysql://a/b", "sqlite://", "sqlite://a?mode=ro", "postgres://"] {
        let report = Bench::new().flags(&[("database_url", wrong)]).report();
        assert!(report.contains("must be sqlite:// and the path of a file"), "{wrong}: {report}");
    }
}

#[test]
fn a_secret_comes_from_a_file_without_its_final_line_break() {
    let bench = Bench::new();
    let token = format!("{}\n", "s".repeat(40));
    let path = bench.secret_file("token", &token);
    let bench = bench.environment(&[("RNDRKIT_OPERATOR_TOKEN_FILE", &path)]);
    let Resolved { settings, shown } = bench.resolved();
    assert_eq!(settings.access.operator_token.unwrap().reveal(), token.trim());
    let row = shown.iter().find(|row| row.name == "operator_token").unwrap();
    assert_eq!(row.origin, format!("environment RNDRKIT_OPERATOR_TOKEN_FILE → {path}"));
    assert!(row.hidden && row.value.is_null());
    let both = bench
        .environment(&[("RNDRKIT_OPERATOR_TOKEN_FILE", &path), ("RNDRKIT_OPERATOR_TOKEN", &"t".repeat(40))]);
    assert_snapshot!(both.report(), @"
    One setting is wrong:
      environment RNDRKIT_OPERATOR_TOKEN_FILE: operator_token_file: set operator_token or operator_token_file, not both
    ");
}

#[test]
fn no_secret_is_shown_printed_or_reported() {
    let (token, authz, database) = ("hunter2".repeat(6), "hunter3".repeat(3), "postgres://rk:hunter4@db/rk");
    let bench = Bench::new().file(&format!(
        "operator_token = '{token}'\nauthz_secret = '{authz}'\ndatabase_url = '{database}'\n"
    ));
    let resolved = bench.resolved();
    let shown = serde_json::to_string(&resolved.shown).unwrap();
    let printed = format!("{resolved:?} {:?}", bench.sources);
    let wrong = Bench::new().file(
        "operator_token = 'hunter2'\nauthz_secret = 'hunter3'\ndatabase_url = 'pg://rk:hunter4@db/rk'\n\
         operator_tokn = 'hunter5'",
    );
    for text in [shown, printed, wrong.report()] {
        assert!(!text.contains("hunter"), "{text}");
    }
}

#[test]
fn variables_that_kubernetes_and_tests_set_are_no_settings_and_empty_ones_are_not_set() {
    let bench = Bench::new().environment(&[
        ("RNDRKIT_SERVICE_HOST", "10.0.0.1"),
        ("RNDRKIT_SERVICE_PORT_HTTP", "8080"),
        ("RNDRKIT_PORT", "tcp://10.0.0.1:8080"),
        ("RNDRKIT_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("RNDRKIT_TEST_POSTGRES_URL", "postgres://"),
        ("RNDRKIT_TOKEN", "t"),
        ("RNDRKIT_UPSTREAM_URL", ""),
        ("PATH", "/bin"),
    ]);
    assert!(bench.settings().gateway.routes.is_empty());
}

#[test]
fn the_variable_that_a_caller_keeps_a_key_in_is_no_setting_and_its_likes_still_are() {
    let bench = Bench::new().environment(&[("RNDRKIT_API_KEY", "of a caller")]);
    assert!(bench.settings().gateway.routes.is_empty());
    for other in ["RNDRKIT_KEY", "RNDRKIT_API_KEY_FILE"] {
        let report = Bench::new().environment(&[(other, "x")]).report();
        assert!(report.contains("unknown setting"), "{report}");
    }
}

#[test]
fn every_setting_is_shown_with_a_value_unless_it_has_none() {
    let shown = Bench::new().resolved().shown;
    assert_eq!(shown.len(), SETTINGS.len());
    let none: Vec<&str> =
        shown.iter().filter(|row| row.value.is_null() && !row.hidden).map(|row| row.name).collect();
    let expected = "database_control_url gateway_listen authz_listen telemetry_listen tls_certificate \
        tls_key operator_token authz_secret smtp_url mail_from upstream_url node_name \
        audit_signing_key";
    assert_eq!(none.join(" "), expected);
}

#[test]
fn a_file_with_every_line_of_the_defaults_switched_on_is_understood() {
    let switched_on: Vec<&str> = DEFAULTS
        .lines()
        .map(|line| {
            let inner = line.strip_prefix("# ").unwrap_or(line);
            let name = inner.split(" = ").next().unwrap_or_default();
            let is_setting =
                inner.starts_with("[[") || name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            if is_setting && (inner.contains(" = ") || inner.starts_with("[[")) { inner } else { "" }
        })
        .collect();
    let file = switched_on.join("\n").replace("http://localhost:8080", "https://localhost:8080");
    let settings = Bench::new().file(&file).settings();
    assert_eq!(settings.gateway.routes.len(), 2);
    assert!(settings.listeners.tls.is_some() && settings.listeners.gateway.is_some());
}
