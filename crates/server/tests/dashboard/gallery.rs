//! Every state of every page, from fixtures: for looking at, and for rules that hold on all of them.

use std::cmp::Ordering;
use std::time::Duration;

use askama::Template;
use rndrkit_control::Confirmation;
use rndrkit_domain::hint::{KeyHint, LimitHint};
use rndrkit_domain::time::Timestamp;
use rndrkit_server::dashboard::assets;
use rndrkit_server::dashboard::view::account::{
    AccountSection, AddressForm, BrowserList, BrowserRow, PasswordForm, WaitingAddress,
};
use rndrkit_server::dashboard::view::billing::{BillingPage, PlanCard, Rank};
use rndrkit_server::dashboard::view::frame::{Frame, Gate, Notice, Place, Tone};
use rndrkit_server::dashboard::view::keys::{
    CreateForm, CreateKeyPage, DeleteKeyPage, KeyList, KeyRow, KeysSection, KnownKeys, LabelForm,
    LabelKeyPage, LastUsed, Locked, PastKeyRow, RepeatedCreate, Revealed, Sample,
};
use rndrkit_server::dashboard::view::notifications::{ChoiceRow, Choices, NotificationsSection};
use rndrkit_server::dashboard::view::overview::{Attention, OverviewPage};
use rndrkit_server::dashboard::view::rotation::RotateForm;
use rndrkit_server::dashboard::view::settings::SettingsPage;
use rndrkit_server::dashboard::view::{Field, words};

#[path = "gallery_activity.rs"]
mod activity;
#[path = "gallery_gates.rs"]
mod gates;
#[path = "gallery_hints.rs"]
mod hints;
#[path = "gallery_refusals.rs"]
mod refusals;
#[path = "gallery_usage.rs"]
mod usage;

use hints::{attention, hinted, hinted_keys, limit_hint};
#[path = "gallery_rotation.rs"]
mod rotation;

const NOW_MS: i64 = 1_795_442_700_000;
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

pub fn now() -> Timestamp {
    Timestamp::from_unix_ms(NOW_MS)
}

pub fn before(milliseconds: i64) -> Timestamp {
    Timestamp::from_unix_ms(NOW_MS - milliseconds)
}

pub fn frame(place: Place, plan_name: &str) -> Frame {
    Frame {
        brand: "RndrKit".to_owned(),
        place,
        account_name: "Northwind Studio".to_owned(),
        plan_name: plan_name.to_owned(),
        notices: Vec::new(),
        assets: assets::urls(),
    }
}

fn gate() -> Gate {
    Gate { brand: "RndrKit".to_owned(), assets: assets::urls() }
}

fn sample() -> Sample {
    Sample {
        origin: "https://rndrkit.io".to_owned(),
        self_path: "/api/rk/account".to_owned(),
        variable: "RNDRKIT_API_KEY".to_owned(),
    }
}

fn row(name: &str, four: &str, created_days: i64, last_used: LastUsed) -> KeyRow {
    KeyRow {
        id: format!("key_{}", four.to_ascii_lowercase().repeat(7).chars().take(26).collect::<String>()),
        name: name.to_owned(),
        environment: None,
        mask: format!("rk_live_{four}"),
        created: words::day(before(created_days * DAY_MS)),
        last_used,
        expires: None,
        hint: None,
        old: None,
    }
}

fn in_environment(environment: &str, row: KeyRow) -> KeyRow {
    KeyRow { environment: Some(environment.to_owned()), ..row }
}

fn used(milliseconds: i64) -> LastUsed {
    LastUsed::At(words::past(now(), before(milliseconds)))
}

fn three_keys() -> Vec<KeyRow> {
    vec![
        in_environment("CI/CD", row("CI/CD Pipeline", "9fQz", 12, used(3 * MINUTE_MS))),
        row("Deployment Script", "Ab3X", 64, used(19 * HOUR_MS)),
        hinted(KeyHint::NeverUsed { days: 20 }, row("Staging", "tT0c", 20, LastUsed::Never)),
    ]
}

fn hard_names() -> Vec<KeyRow> {
    let mut expiring =
        hinted(KeyHint::Unused { days: 45 }, row("Nightly export", "Qp71", 80, used(45 * DAY_MS)));
    expiring.expires = Some(words::expiry(now(), Timestamp::from_unix_ms(NOW_MS + 12 * DAY_MS + HOUR_MS)));
    vec![
        in_environment("إنتاج", row("مفتاح النشر للإنتاج", "x9Lm", 1, used(10_000))),
        in_environment(&"W".repeat(32), row(&"W".repeat(64), "Zz00", 2, LastUsed::Never)),
        row("Production render farm in eu-central, used by the nightly jobs", "kB2r", 200, used(2 * DAY_MS)),
        in_environment(
            "<b>&amp;</b>",
            row("<script>alert(1)</script> & \"quotes\"", "7hYt", 3, LastUsed::Never),
        ),
        expiring,
    ]
}

fn past_keys() -> Vec<PastKeyRow> {
    let past = |name: &str, four: &str, created: i64, ended: i64, reason: &str| PastKeyRow {
        id: format!("key_{}", four.to_ascii_lowercase()),
        name: name.to_owned(),
        environment: (four == "mN4d").then(|| "CI/CD".to_owned()),
        mask: format!("rk_live_{four}"),
        created: words::day(before(created * DAY_MS)),
        ended: words::past(now(), before(ended * DAY_MS)),
        reason: reason.to_owned(),
    };
    vec![
        past("Old pipeline", "mN4d", 210, 2, "Deleted in the dashboard"),
        past("Contractor", "Rr8e", 90, 9, "Deleted by whoever runs RndrKit"),
        past("Leaked in a gist", "c0De", 300, 31, "Ended by someone who had the key"),
        past("Trade fair", "Ev3n", 60, 40, "Reached its expiry date"),
    ]
}

fn section(active: Vec<KeyRow>, past: Vec<PastKeyRow>) -> KeysSection {
    KeysSection {
        list: KeyList::Known(KnownKeys { active, past, limit: 5, suspended: false, hint: None }),
        locked: None,
        created: None,
        repeated: None,
        notices: Vec::new(),
        form: CreateForm { form_id: "form-1".to_owned(), ..CreateForm::default() },
        rotate_form: RotateForm::fresh("form-2".to_owned()),
        sample: sample(),
    }
}

fn locked(plan_name: &str) -> Locked {
    Locked {
        plan_name: plan_name.to_owned(),
        plans_with_access: "Agency and Agency+ plans".to_owned(),
        plans_without_access: "Starter or Pro".to_owned(),
    }
}

fn settings(plan_name: &str, keys: KeysSection, notices: Vec<Notice>) -> String {
    settings_with(plan_name, keys, notices, notifications(true, false))
}

fn notifications(sends_mail: bool, saved: bool) -> NotificationsSection {
    let row = |word, label, hint, on| ChoiceRow { word, label, hint, on };
    let rows = vec![
        row("key_created", "Key created", "Who made it, and from where.", true),
        row("key_unused", "Key unused", "When nobody has used it for 30 days, and for 90.", false),
        row("new_place", "Sign-in from a new place", "Only the person who signs in is told.", true),
    ];
    let recipients = "ada@northwind.example and grace@northwind.example".to_owned();
    NotificationsSection { choices: Some(Choices { rows, recipients, sends_mail }), saved }
}

fn settings_with(
    plan_name: &str,
    keys: KeysSection,
    notices: Vec<Notice>,
    notifications: NotificationsSection,
) -> String {
    let mut frame = frame(Place::Settings, plan_name);
    frame.notices = notices;
    let account = account_section();
    draw(&SettingsPage { frame, keys, notifications, account })
}

/// Ada at her desk, with a telephone, and a dashboard that a link opened.
fn account_section() -> AccountSection {
    let browser = |name: &str, address: &str, days: i64, minutes: i64| BrowserRow {
        handle: format!("{name}{address}").replace(|letter: char| !letter.is_ascii_alphanumeric(), ""),
        name: name.to_owned(),
        this: false,
        by_link: false,
        address: Some(address.to_owned()),
        signed_in: words::past(now(), before(days * DAY_MS)),
        last_active: words::past(now(), before(minutes * MINUTE_MS)),
    };
    AccountSection {
        name: "Northwind Studio".to_owned(),
        email: "ada@northwind.example".to_owned(),
        signed_in_as: Some("ada@northwind.example".to_owned()),
        id: "acc_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned(),
        notices: Vec::new(),
        address: AddressForm::default(),
        waiting: None,
        sends_mail: true,
        password: PasswordForm::default(),
        password_min_length: 15,
        browsers: BrowserList::Known(vec![
            BrowserRow { this: true, ..browser("Firefox on Linux", "192.0.2.7", 2, 3) },
            browser("Safari on iPhone", "2001:db8:4f12:8a00:9d3e:71ff:fe02:11c9", 12, 75),
            BrowserRow { by_link: true, ..browser("Chrome on Windows", "198.51.100.20", 0, 20) },
        ]),
    }
}

fn with_account(account: AccountSection) -> String {
    let keys = section(three_keys(), Vec::new());
    let notifications = notifications(true, false);
    draw(&SettingsPage { frame: frame(Place::Settings, "Agency"), keys, notifications, account })
}

fn account_states() -> Vec<(&'static str, String)> {
    let plain = account_section();
    let wrong = PasswordForm {
        current_problem: Some("This is not your current password.".to_owned()),
        new_problem: Some("Use 15 characters or more. A few unrelated words work well.".to_owned()),
    };
    let text = "Every other browser of yours is signed out, and links to set a password are void.";
    let changed = notice(Tone::Good, "Your password was changed.", text);
    let alone = match plain.browsers.clone() {
        BrowserList::Known(mut browsers) => {
            browsers.truncate(1);
            BrowserList::Known(browsers)
        }
        BrowserList::Unavailable => BrowserList::Unavailable,
    };
    let taken = AddressForm {
        email: Field {
            value: "ada@".to_owned(),
            problem: Some("Enter an e-mail address, such as you@example.com.".to_owned()),
        },
        current_problem: Some("This is not your current password.".to_owned()),
    };
    let waiting =
        WaitingAddress { email: "ada@lovelace.example".to_owned(), until: words::clock(before(-HOUR_MS)) };
    vec![
        ("account-email-wrong", with_account(AccountSection { address: taken, ..plain.clone() })),
        ("account-email-waits", with_account(AccountSection { waiting: Some(waiting), ..plain.clone() })),
        ("account-no-mail", with_account(AccountSection { sends_mail: false, ..plain.clone() })),
        ("account-password-wrong", with_account(AccountSection { password: wrong, ..plain.clone() })),
        (
            "account-password-changed",
            with_account(AccountSection { notices: vec![changed], ..plain.clone() }),
        ),
        ("account-one-browser", with_account(AccountSection { browsers: alone, ..plain.clone() })),
        ("account-by-link", with_account(AccountSection { signed_in_as: None, ..plain.clone() })),
        (
            "account-browsers-unavailable",
            with_account(AccountSection { browsers: BrowserList::Unavailable, ..plain }),
        ),
    ]
}

pub fn draw(page: &impl Template) -> String {
    page.render().unwrap()
}

fn notice(tone: Tone, title: &str, text: &str) -> Notice {
    Notice { tone, title: title.to_owned(), text: text.to_owned() }
}

fn repeated_form(is_rotation: bool) -> RepeatedCreate {
    RepeatedCreate { id: "key_1".to_owned(), name: "CI/CD Pipeline".to_owned(), is_rotation }
}

fn key_states() -> Vec<(&'static str, String)> {
    let noted = |section_shown| settings_with("Agency", section(three_keys(), vec![]), vec![], section_shown);
    let mut created = section(three_keys(), past_keys());
    created.created = Some(Revealed {
        name: "CI/CD Pipeline".to_owned(),
        secret: format!("rk_live_{}", "9fQz7hYt".repeat(4)),
        old: None,
    });
    let mut repeated = section(three_keys(), Vec::new());
    repeated.repeated = Some(repeated_form(false));
    let mut starter = section(Vec::new(), Vec::new());
    starter.locked = Some(locked("Starter"));
    let mut downgraded = section(three_keys(), past_keys());
    downgraded.locked = Some(locked("Pro"));
    let mut failed = section(Vec::new(), Vec::new());
    failed.list = KeyList::Unavailable;
    let mut full = three_keys();
    full.push(row("Preview builds", "Ju5t", 7, used(HOUR_MS)));
    full.push(row("Local development", "Lo0p", 3, LastUsed::Never));
    let suspended = notice(
        Tone::Danger,
        "This account is suspended.",
        "Its API keys answer 403 until whoever runs RndrKit resumes it. Nothing was deleted, and you can still delete keys.",
    );
    let mut suspended_keys = section(three_keys(), Vec::new());
    if let KeyList::Known(known) = &mut suspended_keys.list {
        known.suspended = true;
    }
    let [on_three, one_silent] = [(3, 0, 14), (2, 1, 7_020)].map(|(nodes_confirmed, nodes_expired, ms)| {
        let took = Duration::from_millis(ms);
        let servers = words::refused(&Confirmation { nodes_confirmed, nodes_expired, took });
        let text = format!("Requests with it get 401 Unauthorized from now on. {servers}");
        notice(Tone::Good, "Old pipeline was deleted.", &text)
    });
    let mut deleted_keys = section(three_keys(), past_keys());
    deleted_keys.notices.push(on_three);
    let mut deleted_late = section(three_keys(), past_keys());
    deleted_late.notices.push(one_silent);
    let mut with_hints = section(hinted_keys(), Vec::new());
    if let KeyList::Known(known) = &mut with_hints.list {
        known.hint = Some(limit_hint(LimitHint::Reached { limited: 1_240, can_grow: true }));
    }
    vec![
        ("keys-hints", settings("Agency", with_hints, vec![])),
        ("keys-locked", settings("Starter", starter, vec![])),
        ("keys-empty", settings("Agency", section(vec![], vec![]), vec![])),
        ("keys-none-left", settings("Agency", section(vec![], past_keys()), vec![])),
        ("keys-list", settings("Agency", section(three_keys(), past_keys()), vec![])),
        ("keys-created", settings("Agency", created, vec![])),
        ("keys-repeated", settings("Agency", repeated, vec![])),
        ("keys-full", settings("Agency", section(full, vec![]), vec![])),
        ("keys-deleted", settings("Agency", deleted_keys, vec![])),
        ("keys-deleted-late", settings("Agency", deleted_late, vec![])),
        ("keys-downgraded", settings("Pro", downgraded, vec![])),
        ("keys-failed", settings("Agency", failed, vec![])),
        ("keys-suspended", settings("Agency", suspended_keys, vec![suspended])),
        ("notifications-saved", noted(notifications(true, true))),
        ("notifications-without-mail", noted(notifications(false, false))),
        ("notifications-failed", noted(NotificationsSection { choices: None, saved: false })),
        ("keys-hard-names", settings("Agency+", section(hard_names(), vec![]), vec![])),
    ]
}

fn key_forms() -> Vec<(&'static str, String)> {
    let faulty = CreateForm {
        form_id: "form-2".to_owned(),
        name: Field { value: "a".repeat(65), problem: Some("Use 64 characters or fewer.".to_owned()) },
        environment: Field { value: "W".repeat(33), problem: Some("Use 32 characters or fewer.".to_owned()) },
        expiry: "date".to_owned(),
        expiry_date: Field {
            value: "2020-01-01".to_owned(),
            problem: Some("Choose a day in the future.".to_owned()),
        },
        problem: None,
    };
    let empty = CreateForm { form_id: "form-3".to_owned(), ..CreateForm::default() };
    let frame = || frame(Place::Settings, "Agency");
    let key = row("CI/CD Pipeline", "9fQz", 12, used(3 * MINUTE_MS));
    let problem =
        Some("We could not confirm the deletion. The key may still work: delete it again.".to_owned());
    let label = |environment: Field, problem: Option<&str>| {
        draw(&LabelKeyPage {
            frame: frame(),
            id: key.id.clone(),
            current_name: key.name.clone(),
            mask: key.mask.clone(),
            form: LabelForm { name: Field::holding(key.name.as_str()), environment },
            problem: problem.map(ToOwned::to_owned),
        })
    };
    let bad_label = Field { value: "a".repeat(33), problem: Some("Use 32 characters or fewer.".to_owned()) };
    vec![
        ("label-page", label(Field::holding("production"), None)),
        (
            "label-faults",
            label(bad_label, Some("We could not confirm the change. Save it again: that is safe.")),
        ),
        ("create-page", draw(&CreateKeyPage { frame: frame(), form: empty })),
        ("create-faults", draw(&CreateKeyPage { frame: frame(), form: faulty })),
        ("delete-page", draw(&DeleteKeyPage { frame: frame(), key: key.clone(), problem: None })),
        ("delete-failed", draw(&DeleteKeyPage { frame: frame(), key, problem })),
    ]
}

fn plans(current: usize, losing: Option<&str>) -> Vec<PlanCard> {
    let plan = |position: usize, id: &str, name: &str, access: bool, rate: &str, burst: &str| PlanCard {
        id: id.to_owned(),
        name: name.to_owned(),
        rank: match position.cmp(&current) {
            Ordering::Less => Rank::Lower,
            Ordering::Equal => Rank::Current,
            Ordering::Greater => Rank::Higher,
        },
        api_access: access,
        active_keys: if access { "Up to 5" } else { "None" }.to_owned(),
        rate: if access { rate } else { "None" }.to_owned(),
        burst: if access { burst } else { "None" }.to_owned(),
        confirm: (!access && losing.is_some()).then(|| "My 3 keys stop working".to_owned()),
        unconfirmed: id == "pro" && losing.is_some(),
        warning: if access { None } else { losing.map(ToOwned::to_owned) },
        recommended: position == 2 && current < 2,
    };
    vec![
        plan(0, "starter", "Starter", false, "", ""),
        plan(1, "pro", "Pro", false, "", ""),
        plan(2, "agency", "Agency", true, "600 requests a minute", "100 requests at once"),
        plan(3, "agency_plus", "Agency+", true, "3,000 requests a minute", "500 requests at once"),
    ]
}

fn billing(plan_name: &str, plans: Vec<PlanCard>, changes_here: bool) -> String {
    draw(&BillingPage {
        frame: frame(Place::Billing, plan_name),
        plans,
        changes_here,
        account_email: "ada@northwind.example".to_owned(),
        return_to: Some("/settings#api-keys".to_owned()),
        plans_with_access: "Agency and Agency+ plans".to_owned(),
        plans_without_access: "Starter or Pro".to_owned(),
    })
}

fn overview(plan_name: &str, api_access: bool, active_keys: u64, attention: Attention) -> String {
    draw(&OverviewPage {
        frame: frame(Place::Overview, plan_name),
        api_access,
        active_keys,
        key_limit: 5,
        rate: "600 a minute".to_owned(),
        burst: "100 at once".to_owned(),
        attention,
        plans_with_access: "Agency and Agency+ plans".to_owned(),
        sample: sample(),
    })
}

fn other_pages() -> Vec<(&'static str, String)> {
    let warning =
        "Your 3 keys will stop working: they answer 403 until you are back on a plan with API access.";
    vec![
        ("overview", overview("Agency", true, 2, Attention::Nothing)),
        ("overview-attention", overview("Agency", true, 5, attention())),
        ("overview-unknown", overview("Agency", true, 2, Attention::Unknown)),
        ("overview-first", overview("Agency", true, 0, Attention::Hidden)),
        ("overview-locked", overview("Starter", false, 0, Attention::Hidden)),
        ("billing-starter", billing("Starter", plans(0, None), true)),
        ("billing-agency", billing("Agency", plans(2, Some(warning)), true)),
        ("billing-operator", billing("Pro", plans(1, None), false)),
    ]
}

/// Every page, under a file name.
pub fn all() -> Vec<(&'static str, String)> {
    let keys = [key_states(), rotation::states(), key_forms(), account_states()].concat();
    [keys, other_pages(), usage::all(), activity::all(), refusals::pages(), gates::all(), gates::errors()]
        .concat()
}
