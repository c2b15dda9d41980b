//! A crowd at the sign-in form slows no verification, and the form says nothing about who has an account.

use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_TYPE, DATE};
use serde_json::json;

use crate::harness::Server;
use crate::people::encoded;

/// People who wait to be signed in at once.
const CROWD: u32 = 1_000;
/// How much slower a verification may become while they wait. The crowd's passwords are checked on one of the
/// machine's cores, which leaves at least half of them: a factor of 20 is far from noise, and a verification
/// that had to wait for even one password check would miss it by more.
const SLOWER_AT_MOST: u32 = 20;
/// Verifications that a median is taken of.
const SAMPLES: usize = 500;
/// How far the two medians of refusals may lie apart. Checking a password is nearly all that an attempt costs:
/// leaving it out for one of the two would make a factor of ten.
const APART_AT_MOST: f64 = 2.0;

/// Believes forwarded addresses from this machine, so that a test can come from many.
const BEHIND_A_PROXY: (&str, &str) = ("RNDRKIT_TRUSTED_PROXIES", "127.0.0.0/8");

/// Sends the sign-in form from an address in a network of its own.
async fn sign_in(
    server: &Server,
    network: u32,
    email: &str,
    password: &str,
) -> reqwest::Result<reqwest::Response> {
    let [_, a, b, c] = network.to_be_bytes();
    let request = server
        .http
        .post(server.public_url("/sign-in"))
        .header("sec-fetch-site", "same-origin")
        .header("x-forwarded-for", format!("{}.{b}.{c}.7", 20 + a))
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(encoded(&[("email", email), ("password", password)]));
    request.send().await
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// Verifies one after another; every answer must be yes.
async fn time_verifications(server: &Server, secret: &str) -> Duration {
    let mut times = Vec::new();
    for _ in 0..SAMPLES {
        let begun = Instant::now();
        let (status, answer) = server.look(secret).await;
        times.push(begun.elapsed());
        assert_eq!((status, &answer["valid"]), (200, &json!(true)), "{answer}");
    }
    median(times)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_sign_ins_slow_no_verification() {
    let server = Arc::new(Server::start(&[BEHIND_A_PROXY]).await);
    let account = server.account("ada@example.com", "agency").await;
    let (_, secret) = server.key(&account, "Production").await;
    time_verifications(&server, &secret).await;
    let alone = time_verifications(&server, &secret).await;

    let mut crowd = Vec::new();
    for n in 0..CROWD {
        let server = server.clone();
        crowd.push(tokio::spawn(async move {
            sign_in(&server, n, &format!("person{n}@example.com"), "a wrong password").await
        }));
    }
    let connected = async |server: &Server| {
        server.metric("rndrkit_connections{listener=\"public\"}").await >= f64::from(CROWD) * 0.8
    };
    assert!(server.eventually(connected).await, "the crowd never stood in line");
    let crowded = time_verifications(&server, &secret).await;
    let waiting = crowd.iter().filter(|person| !person.is_finished()).count();
    assert!(waiting >= 100, "only {waiting} were still waiting: nothing was tried");
    assert!(crowded <= alone * SLOWER_AT_MOST, "{crowded:?} each, {alone:?} without the crowd");

    // Whoever was answered by now was refused for the password, and nobody for the crowd.
    let mut answered = 0;
    for person in crowd {
        if person.is_finished() {
            assert_eq!(person.await.unwrap().unwrap().status(), 422);
            answered += 1;
        } else {
            person.abort();
        }
    }
    assert!(answered > 0, "nobody moved on in the line");
}

/// What a page says, without what is new on every page: the request's id and the time.
async fn told(answer: reqwest::Response, email: &str) -> (u16, Vec<(String, Vec<u8>)>, String) {
    let mut headers: Vec<(String, Vec<u8>)> = answer
        .headers()
        .iter()
        .filter(|(name, _)| **name != DATE && *name != "x-rk-request-id")
        .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
        .collect();
    headers.sort();
    let status = answer.status().as_u16();
    (status, headers, answer.text().await.unwrap().replace(email, "<the address>"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_address_and_a_wrong_password_read_and_take_the_same() {
    let server = Server::start(&[BEHIND_A_PROXY]).await;
    // As many as let each be tried a few times before the delay between attempts begins.
    let mut known = Vec::new();
    for n in 10..18 {
        let email = format!("person{n}@example.com");
        let account = server.account(&email, "agency").await;
        server.join(&account, &email).await;
        known.push(email);
    }
    let (mut of_known, mut of_unknown) = (Vec::new(), Vec::new());
    let mut network = 0;
    for _ in 0..4 {
        for email in &known {
            let unknown = email.replace("person", "nobody");
            // By turns, so that whatever else the machine does falls on both.
            let mut pages = Vec::new();
            for (email, times) in [(email, &mut of_known), (&unknown, &mut of_unknown)] {
                network += 1;
                let begun = Instant::now();
                let answer = sign_in(&server, network, email, "a wrong password").await.unwrap();
                times.push(begun.elapsed());
                pages.push(told(answer, email).await);
            }
            assert_eq!(pages[0].0, 422);
            assert!(pages[0] == pages[1], "{pages:?}");
        }
    }
    let (known, unknown) = (median(of_known).as_secs_f64(), median(of_unknown).as_secs_f64());
    let apart = (known / unknown).max(unknown / known);
    assert!(apart <= APART_AT_MOST, "{known} s for a known address, {unknown} s for an unknown one");
}
