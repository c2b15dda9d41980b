//! Every state of `/activity`, from fixtures.

use rndrkit_server::dashboard::view::activity::{
    ActivityList, ActivityPage, ActivityRow, Choice, FilterForm,
};
use rndrkit_server::dashboard::view::activity_words::Part;
use rndrkit_server::dashboard::view::browser_words::browser;
use rndrkit_server::dashboard::view::frame::Place;
use rndrkit_server::dashboard::view::words;

use super::{before, draw, frame, now};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";
const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 24 * 60 * MINUTE_MS;

fn words_of(text: &str) -> Part {
    Part::Words(text.to_owned())
}

fn name(text: &str) -> Part {
    Part::Name(text.to_owned())
}

fn event(what: Vec<Part>, ago_ms: i64, from: Option<(&str, &str)>) -> ActivityRow {
    ActivityRow {
        what,
        at: words::past(now(), before(ago_ms)),
        address: from.map(|(address, _)| address.to_owned()),
        client: from.map(|(_, client)| (browser(client), client.to_owned())),
        request_id: from.map(|_| "req_01jd3n8q4w6x9y2z5b7c0d1e2f".to_owned()),
    }
}

fn events() -> Vec<ActivityRow> {
    let home = Some(("203.0.113.24", FIREFOX));
    let script = Some(("2001:db8:85a3:8d3:1319:8a2e:370:7348", "curl/8.14.1"));
    vec![
        event(vec![words_of("You"), words_of(" created the key "), name("Production")], MINUTE_MS, home),
        event(vec![words_of("You"), words_of(" signed in from a new place")], 7 * MINUTE_MS, home),
        event(
            vec![
                words_of("Somebody with the key’s secret"),
                words_of(" ended it: the key "),
                name("مفتاح الإنتاج للتكامل"),
            ],
            90 * MINUTE_MS,
            script,
        ),
        event(
            vec![
                name("grace.hopper-of-the-long-address@engineering.northwind.example"),
                words_of(" rotated the key "),
                name(&"Deployment".repeat(7)[..64]),
                words_of("; its old secret works for 24 hours more"),
            ],
            DAY_MS,
            home,
        ),
        event(
            vec![words_of("Whoever runs RndrKit"), words_of(" changed the plan from Pro to Agency")],
            40 * DAY_MS,
            None,
        ),
        event(vec![words_of("Somebody whose data was erased"), words_of(" signed in")], 90 * DAY_MS, None),
    ]
}

fn choices(labels: &[&str], chosen: usize) -> Vec<Choice> {
    let choice = |(place, label): (usize, &&str)| Choice {
        value: if place == 0 { String::new() } else { format!("choice-{place}") },
        label: (*label).to_owned(),
        chosen: place == chosen,
    };
    labels.iter().enumerate().map(choice).collect()
}

fn page(list: ActivityList, active: bool, problem: Option<&str>) -> String {
    let pages = matches!(&list, ActivityList::Known(rows) if !rows.is_empty());
    draw(&ActivityPage {
        frame: frame(Place::Activity, "Agency"),
        list,
        filter: FilterForm {
            kinds: choices(&["Everything", "API keys", "Sign-ins and passwords"], usize::from(active)),
            keys: choices(&["All keys", "Production"], 0),
            people: choices(&["Everybody", "ada@northwind.example", "Whoever runs RndrKit"], 0),
            from: if active { "2026-11-01".to_owned() } else { String::new() },
            to: String::new(),
            problem: problem.map(str::to_owned),
            active,
        },
        newer: pages.then(|| "/activity?newer=czEuOQ".to_owned()),
        older: pages.then(|| "/activity?older=czEuOQ".to_owned()),
        csv: "/activity.csv".to_owned(),
        json: "/activity.json".to_owned(),
        file_events: "5,000".to_owned(),
    })
}

pub fn all() -> Vec<(&'static str, String)> {
    vec![
        ("activity", page(ActivityList::Known(events()), false, None)),
        ("activity-filtered", page(ActivityList::Known(events()), true, None)),
        ("activity-empty", page(ActivityList::Known(Vec::new()), false, None)),
        ("activity-no-match", page(ActivityList::Known(Vec::new()), true, None)),
        ("activity-fault", page(ActivityList::Known(events()), true, Some("Write days like 2026-11-23."))),
        ("activity-unavailable", page(ActivityList::Unavailable("/activity".to_owned()), false, None)),
    ]
}
