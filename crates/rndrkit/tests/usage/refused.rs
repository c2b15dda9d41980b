//! A refused request is explained on the dashboard within one flush, with the numbers that decided, and to its own
//! account alone.

use serde_json::json;

use crate::world::{BURST, World};

/// Signs in to an account by an operator's link; the session's cookie.
async fn session(world: &World, account: &str) -> String {
    let path = format!("/v1/accounts/{account}/links");
    let (status, link) = world.server.operator("POST", &path, json!({"kind": "sign_in"})).await;
    assert_eq!(status, 201, "{link}");
    let secret = link["url"].as_str().unwrap().split_once("link=").unwrap().1.to_owned();
    let form = world.server.http.post(world.server.public_url("/sign-in/link"));
    let form = form.header("Sec-Fetch-Site", "same-origin");
    let form =
        form.header("Content-Type", "application/x-www-form-urlencoded").body(format!("link={secret}"));
    let answer = form.send().await.unwrap();
    assert_eq!(answer.status(), 303);
    let cookie = answer.headers()["set-cookie"].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

async fn page(world: &World, session: &str, request: &str) -> (u16, String) {
    let path = format!("/explain?request={request}");
    let request = world.server.http.get(world.server.public_url(&path)).header("Cookie", session);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_is_explained_within_one_flush_with_the_numbers_that_decided() {
    let world = World::start().await;
    let account = world.server.account("ada@example.com", "small").await;
    let other = world.server.account("bob@example.com", "small").await;
    let (_, secret) = world.server.key(&account, "Deployment Script").await;
    for _ in 0..BURST {
        assert_eq!(world.gateway(&secret, 200).await, 200);
    }
    let request = world.server.http.delete(world.server.public_url("/api/<b>200?api_key=hunter2"));
    let request = request.header("X-Api-Key", &secret).header("User-Agent", "<script>alert(1)</script>");
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 429);
    let id = answer.headers()["x-rk-request-id"].to_str().unwrap().to_owned();
    let body: serde_json::Value = answer.json().await.unwrap();
    assert_eq!(body["request_id"], id.as_str());

    let (of_ada, of_bob) = (session(&world, &account).await, session(&world, &other).await);
    let (status, early) = page(&world, &of_ada, &id).await;
    assert!(status == 200 || (status == 404 && early.contains("within 10 seconds")), "{early}");
    let came = world.server.eventually(async |_: &_| page(&world, &of_ada, &id).await.0 == 200).await;
    assert!(came, "{}", page(&world, &of_ada, &id).await.1);
    let (_, html) = page(&world, &of_ada, &id).await;
    for words in [
        "its budget was empty, and one was needed.",
        "40 requests at once, and 1 a minute, over all keys of the account.",
        "0 of 40 requests",
        "Small",
        "Deployment Script",
        "DELETE /api/",
        "127.0.0.1",
        "Sent through the gateway",
        "a minute over all keys: they never meet this limit.",
    ] {
        assert!(html.contains(words), "{words:?} is not in {html}");
    }
    assert!(!html.contains("<script>alert") && !html.contains("hunter2"), "{html}");
    assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");

    let (status, html) = page(&world, &of_bob, &id).await;
    assert_eq!(status, 404);
    assert!(!html.contains("Deployment Script") && !html.contains("its budget was empty"), "{html}");
    assert_eq!(page(&world, &of_ada, "%3Cscript%3E").await.0, 422);
    assert_eq!(world.server.metric("rndrkit_store_errors_total").await, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_orderly_stop_loses_no_refusal() {
    let mut world = World::start().await;
    let account = world.server.account("ada@example.com", "none").await;
    world.change(&account, json!({"plan": "small"})).await;
    let (_, secret) = world.server.key(&account, "CI").await;
    world.change(&account, json!({"plan": "none"})).await;
    let answer = world.server.get_with_key("/api/200", &secret).await;
    assert_eq!(answer.status(), 403);
    let id = answer.headers()["x-rk-request-id"].to_str().unwrap().to_owned();
    assert_eq!(world.server.terminate(), Some(0));
    world.server.spawn().await;
    let (status, html) = page(&world, &session(&world, &account).await, &id).await;
    assert_eq!(status, 200, "{html}");
    assert!(html.contains("was on the None plan, which does not include API access"), "{html}");
    assert!(html.contains("The same request on the Small plan"), "{html}");
}
