//! The states of the page that explains refused requests, from fixtures.

use rndrkit_server::dashboard::view::Field;
use rndrkit_server::dashboard::view::refusal::{Answer, Bucket, Explained, RecentRefusal, RefusalPage, Way};
use rndrkit_server::dashboard::view::{Moment, words};

use super::{HOUR_MS, MINUTE_MS, Place, before, draw, frame, now};

const ID: &str = "req_01jd3n8q4w6x9y2z5b7c0d1e2f";

fn moment(milliseconds: i64) -> Moment {
    words::past(now(), before(milliseconds))
}

fn recent() -> Vec<RecentRefusal> {
    let row = |what, key: Option<&str>, request: Option<&str>, ago| RecentRefusal {
        request_id: ID.to_owned(),
        what,
        key_name: key.map(str::to_owned),
        request: request.map(str::to_owned),
        at: moment(ago),
    };
    let long = format!("DELETE /api/{}", "renders/".repeat(60));
    vec![
        row("Rate limit spent", Some("CI/CD Pipeline"), Some("POST /api/renders"), MINUTE_MS),
        row("Plan without API access", Some("Nightly <b>export</b>"), Some(&long), 3 * HOUR_MS),
        row("Key deleted", None, None, 26 * HOUR_MS),
    ]
}

fn explained() -> Explained {
    let way = |text: &str, link: Option<(&str, &str)>| Way {
        text: text.to_owned(),
        link: link.map(|(label, address)| (label.to_owned(), address.to_owned())),
    };
    Explained {
        request_id: ID.to_owned(),
        status: 429,
        code: "rate_limited".to_owned(),
        sentence: "The account’s rate limit was spent: its budget held 2 requests, and 5 were needed."
            .to_owned(),
        rule: "100 requests at once, and 600 a minute, over all keys of the account.".to_owned(),
        bucket: Some(Bucket {
            before: "2 of 100 requests".to_owned(),
            after: "2 of 100 requests".to_owned(),
            shared: true,
        }),
        ways: vec![
            way("The same request 1 second later.", None),
            way("Calls spread out to 10 a second over all keys: they never meet this limit.", None),
            way(
                "More calls on the Agency+ plan: 500 requests at once, and 3,000 a minute.",
                Some(("Upgrading", "/billing#upgrading")),
            ),
        ],
        plan_then: "Agency".to_owned(),
        plan_today: Some("Pro".to_owned()),
        at: moment(MINUTE_MS),
        key_id: "key_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned(),
        key_name: Some("CI/CD Pipeline".to_owned()),
        door: "Sent through the gateway",
        request: Some("POST /api/renders".to_owned()),
        ip: Some("2001:db8:1234:5678:9abc:def0:1234:5678".to_owned()),
        user_agent: Some("W".repeat(256)),
    }
}

fn page(field: Field, answer: Answer, recent: Option<Vec<RecentRefusal>>) -> String {
    draw(&RefusalPage { frame: frame(Place::Usage, "Agency"), field, answer, recent })
}

/// Every state.
pub(super) fn pages() -> Vec<(&'static str, String)> {
    let refused = Explained { bucket: None, plan_today: None, request: None, ip: None, ..explained() };
    let refused = Explained { user_agent: None, key_name: None, ..refused };
    let problem = Some("This is not a request id.".to_owned());
    let unknown =
        Answer::Unknown(vec!["It probably passed.".to_owned(), "Only refused requests are kept.".to_owned()]);
    vec![
        ("explain", page(Field::default(), Answer::Nothing, Some(recent()))),
        ("explain-none", page(Field::default(), Answer::Nothing, Some(Vec::new()))),
        ("explain-no-id", page(Field { value: "abc".to_owned(), problem }, Answer::Nothing, Some(recent()))),
        ("explain-unknown", page(Field::holding(ID), unknown, None)),
        ("explain-limited", page(Field::holding(ID), Answer::Refused(Box::new(explained())), Some(recent()))),
        ("explain-refused", page(Field::holding(ID), Answer::Refused(Box::new(refused)), Some(recent()))),
    ]
}
