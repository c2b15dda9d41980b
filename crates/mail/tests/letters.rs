//! What letters say, and that nothing which people have typed can change how a letter is read.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop loudly")]

use rndrkit_domain::audit::{Action, Actor, ActorType, StoredEvent};
use rndrkit_domain::id::{EventId, KeyId};
use rndrkit_domain::mail::{DueMail, KeyWeek, MailContent, MailKind, NamedKey, WeeklySummary};
use rndrkit_domain::notification::NotificationKind;
use rndrkit_domain::random::OsEntropy;
use rndrkit_domain::time::Timestamp;
use rndrkit_mail::{Letter, Sender, Words};

fn now() -> Timestamp {
    "2026-11-30T18:54:00Z".parse().unwrap()
}

fn words() -> Words {
    Words {
        brand: "RndrKit".to_owned(),
        public_url: "https://keys.example".to_owned(),
        plans: vec![("agency".to_owned(), "Agency".to_owned()), ("starter".to_owned(), "Starter".to_owned())],
        browser: |_| "Firefox on Linux".to_owned(),
    }
}

fn action(kind: NotificationKind) -> Action {
    match kind {
        NotificationKind::KeyCreated => Action::KeyCreated,
        NotificationKind::KeyDeleted => Action::KeyRevoked,
        NotificationKind::KeyRotated => Action::KeyRotated,
        NotificationKind::KeyExpiring => Action::KeyExpiring,
        NotificationKind::KeyUnused => Action::KeyUnused,
        NotificationKind::LimitReached | NotificationKind::WeeklySummary => Action::AccountLimitReached,
        NotificationKind::NewPlace => Action::UserSignedIn,
        NotificationKind::PlanChanged => Action::AccountPlanChanged,
    }
}

fn mail(kind: NotificationKind, name: &str) -> DueMail {
    let key_id = KeyId::generate(now(), &OsEntropy);
    let details = [
        ("overlap_seconds", "3600"),
        ("expires_at", "2026-12-07T18:54:00Z"),
        ("days", "30"),
        ("minute", "2026-11-30T18:50:00Z"),
        ("from", "starter"),
        ("to", "agency"),
    ];
    let event = StoredEvent {
        id: EventId::generate(now(), &OsEntropy),
        at: now(),
        action: action(kind).as_str().to_owned(),
        actor: Actor { kind: ActorType::User, id: None, name: Some("ada@example.com".to_owned()) },
        account_id: None,
        target_kind: "key".to_owned(),
        target_id: key_id.to_string(),
        ip: Some("192.0.2.7".to_owned()),
        user_agent: Some("Mozilla/5.0\r\nX: y".to_owned()),
        request_id: None,
        details: details.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    };
    let named = NamedKey { name: name.to_owned(), mask: "rk_live_AbCd".to_owned() };
    DueMail {
        id: "evt_1.usr_1".to_owned(),
        kind: Some(MailKind::News(kind)),
        account_name: name.to_owned(),
        recipient: "ada@example.com".to_owned(),
        created_at: now(),
        attempts: 1,
        content: MailContent::Event(Box::new(event), Some(named)),
    }
}

fn sender() -> Sender {
    Sender::parse("RndrKit <keys@mail.example>").unwrap()
}

fn head_of(letter: &Letter) -> Vec<String> {
    let text = String::from_utf8(letter.bytes().to_vec()).unwrap();
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n").map(str::to_owned).collect()
}

#[test]
fn every_kind_says_what_happened_who_did_it_and_where_to_act() {
    for kind in NotificationKind::ALL {
        let text = words().of(&mail(kind, "CI/CD Pipeline"));
        assert!(text.subject.starts_with("[RndrKit] "), "{}", text.subject);
        assert!(text.body.contains("https://keys.example/"), "{kind:?}: {}", text.body);
        assert!(text.body.contains("https://keys.example/settings#notifications"), "{kind:?}");
        assert!(text.body.lines().all(|line| line.chars().count() < 200), "{kind:?}: {}", text.body);
    }
    let created = words().of(&mail(NotificationKind::KeyCreated, "CI/CD Pipeline"));
    assert_eq!(created.subject, "[RndrKit] API key “CI/CD Pipeline” was created");
    for part in [
        "CI/CD Pipeline (rk_live_AbCd…)",
        "By        ada@example.com",
        "From      192.0.2.7, Firefox on Linux",
        "When      30 Nov 2026, 18:54 UTC",
        "/delete\n",
    ] {
        assert!(created.body.contains(part), "{part} in {}", created.body);
    }
    let plan = words().of(&mail(NotificationKind::PlanChanged, "Ada"));
    assert_eq!(plan.subject, "[RndrKit] The plan is Agency now");
    let rotated = words().of(&mail(NotificationKind::KeyRotated, "Ada"));
    assert!(rotated.body.contains("works until 30 Nov 2026, 19:54 UTC"), "{}", rotated.body);
    let mut before_the_key = mail(NotificationKind::KeyRotated, "Ada");
    let MailContent::Event(event, _) = &mut before_the_key.content else { panic!() };
    event.details.push(("works_until".to_owned(), "2026-11-30T19:04:00.000Z".to_owned()));
    let text = words().of(&before_the_key);
    assert!(
        text.body.contains("works until 30 Nov 2026, 19:04 UTC"),
        "the key itself ends then: {}",
        text.body
    );
}

fn guarding(kind: MailKind, content: MailContent) -> DueMail {
    DueMail { kind: Some(kind), content, ..mail(NotificationKind::KeyCreated, "Northwind") }
}

#[test]
fn mail_that_guards_the_way_in_says_what_happened_and_what_to_do_if_it_was_not_you() {
    let link = MailContent::Link {
        url: "https://keys.example/confirm-email?link=x".to_owned(),
        works_until: "2026-11-30T19:54:00Z".parse().unwrap(),
    };
    for (kind, content, subject, parts) in [
        (
            MailKind::EmailConfirmation,
            link,
            "Confirm your new e-mail address",
            ["\nhttps://keys.example/confirm-email?link=x\n", "It works until 30 Nov 2026, 19:54 UTC."],
        ),
        (
            MailKind::EmailInUse,
            MailContent::Plain,
            "This e-mail address is in use already",
            ["nothing was changed", "https://keys.example/sign-in\n"],
        ),
        (
            MailKind::EmailChangeAsked,
            MailContent::Plain,
            "A new e-mail address was asked for",
            ["Until that address confirms, yours stays", "https://keys.example/settings#account\n"],
        ),
        (
            MailKind::EmailChanged,
            MailContent::Plain,
            "Your e-mail address was changed",
            ["in place of this one", "tell whoever runs RndrKit at once"],
        ),
        (
            MailKind::PasswordChanged,
            MailContent::Plain,
            "Your password was changed",
            ["in the settings or through a link", "ask whoever runs RndrKit at once for a link"],
        ),
    ] {
        let mail = guarding(kind, content);
        let text = words().of(&mail);
        assert_eq!(text.subject, format!("[RndrKit] {subject}"));
        for part in parts {
            assert!(text.body.contains(part), "{part} in {}", text.body);
        }
        assert!(!text.body.contains("#notifications"), "nobody switches it off: {}", text.body);
        assert!(text.body.lines().all(|line| line.chars().count() < 260), "{}", text.body);
        let letter = Letter::write(&mail, &words(), &sender()).unwrap();
        assert!(!head_of(&letter).iter().any(|line| line.starts_with("List-")), "{:#?}", head_of(&letter));
    }
}

#[test]
fn who_signs_in_from_a_new_place_with_a_new_password_is_not_met_with_the_advice_to_change_it() {
    let said = |action: Action| {
        let mut mail = mail(NotificationKind::NewPlace, "Northwind");
        let MailContent::Event(event, _) = &mut mail.content else { panic!() };
        event.action = action.as_str().to_owned();
        words().of(&mail).body
    };
    assert!(said(Action::UserSignedIn).contains("change your password and sign out everywhere"));
    let reset = said(Action::UserPasswordReset);
    assert!(reset.contains("ask whoever runs RndrKit at once for a link"), "{reset}");
}

#[test]
fn a_summary_has_a_line_for_each_key_and_says_what_lies_idle() {
    let key = |name: &str, allowed| KeyWeek {
        key: NamedKey { name: name.to_owned(), mask: "rk_live_AbCd".to_owned() },
        allowed,
        limited: 2,
        refused: 0,
    };
    let idle = KeyWeek { limited: 0, ..key("Old", 0) };
    let week = WeeklySummary {
        from: "2026-11-23T00:00:00Z".parse().unwrap(),
        to: "2026-11-30T00:00:00Z".parse().unwrap(),
        keys: vec![key("Busy", 1_234_567), idle],
        more_keys: 0,
    };
    let mail = DueMail { content: MailContent::Week(week), ..mail(NotificationKind::WeeklySummary, "Ada") };
    let text = words().of(&mail);
    assert_eq!(text.subject, "[RndrKit] Your week, 23 Nov 2026 to 29 Nov 2026");
    assert!(text.body.contains("1,234,567 let through, 2 over the limit, 0 refused"), "{}", text.body);
    assert!(text.body.contains("1 key was not used."), "{}", text.body);
}

#[test]
fn the_same_mail_is_the_same_bytes_with_the_id_of_its_row() {
    let mail = mail(NotificationKind::KeyCreated, "CI/CD Pipeline");
    let write = || Letter::write(&mail, &words(), &sender()).unwrap();
    assert_eq!(write().bytes(), write().bytes());
    let head = head_of(&write());
    for line in [
        "From: RndrKit <keys@mail.example>",
        "To: ada@example.com",
        "Message-ID: <evt_1.usr_1@mail.example>",
        "Date: Mon, 30 Nov 2026 18:54:00 +0000",
        "Auto-Submitted: auto-generated",
        "List-Id: <notifications.mail.example>",
        "List-Unsubscribe: <https://keys.example/settings#notifications>",
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=utf-8",
    ] {
        assert!(head.iter().any(|known| known == line), "{line} in {head:#?}");
    }
}

#[test]
fn no_name_can_add_a_header_or_a_line_of_its_own() {
    let plain =
        head_of(&Letter::write(&mail(NotificationKind::KeyCreated, "Ada"), &words(), &sender()).unwrap());
    for hostile in [
        "a\r\nBcc: evil@example.com",
        "a\nBcc: evil@example.com\n\nbody",
        "=?utf-8?q?=0D=0ABcc:_evil@example.com?=",
        "\u{202e}gpj.exe",
        "مفتاح النشر",
        &"é".repeat(64),
        &"\u{1f511}".repeat(64),
        "\0\u{b}\u{c}\u{85}\u{2028}",
    ] {
        for kind in NotificationKind::ALL {
            let letter = Letter::write(&mail(kind, hostile), &words(), &sender()).unwrap();
            let head = head_of(&letter);
            assert_eq!(head.len(), plain.len(), "{hostile:?}: {head:#?}");
            assert!(!head.iter().any(|line| line.to_ascii_lowercase().starts_with("bcc")), "{head:#?}");
            assert!(letter.bytes().split(|byte| *byte == b'\n').all(|line| line.len() < 998), "{hostile:?}");
            let text = words().of(&mail(kind, hostile));
            assert!(!text.body.lines().any(|line| line.starts_with("Bcc")), "{}", text.body);
            assert!(!text.subject.contains(char::is_control), "{:?}", text.subject);
        }
    }
}

#[test]
fn an_address_that_no_server_takes_is_said_to_be_one() {
    for bad in ["", "ada", "a b@example.com", "ada@exa mple", "ada@example.com>\r\nRCPT TO:<bob@example.com"]
    {
        let mail = DueMail { recipient: bad.to_owned(), ..mail(NotificationKind::KeyCreated, "Ada") };
        assert!(Letter::write(&mail, &words(), &sender()).is_err(), "{bad:?}");
    }
    for bad in ["", "RndrKit", "a@b\r\nBcc: c@d", "<>"] {
        assert!(Sender::parse(bad).is_none(), "{bad:?}");
    }
}
