//! Promise: what a workspace makes at a provider under a shared credential is its own: found, listed and deleted by it
//! alone, and only through the credential that made it.

use serde_json::{Value, json};

use super::support::{Answer, Ask, Client, Plan, Reply, World};

/// Two workspaces on the platform's credential, and one with a credential of its own. Their tokens may make batches.
fn shared() -> World {
    plan(World::on_loopback(["primary", "spare"])).stands()
}

fn plan(plan: Plan) -> Plan {
    let plan = plan.provider("primary", "kind", "\"openai\"").provider("spare", "kind", "\"openai\"");
    let plan = plan.workspace("main", "default", "\"primary:m\"").workspace("other", "org", "\"acme\"");
    let plan = plan.workspace("other", "default", "\"primary:m\"").neighbour("own").key("own", "primary", "own-key");
    plan.token("ours", "main", |token| token.may_batch = true).token("theirs", "other", |token| token.may_batch = true)
}

fn file(id: &str) -> Answer {
    let said = json!({"id": id, "object": "file", "bytes": 7, "filename": "lines.jsonl", "purpose": "batch"});
    Answer::json(200, &said.to_string())
}

fn upload(client: &Client) -> Ask {
    let form = "--b\r\ncontent-disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--b--\r\n";
    client.sends("POST", "/v1/files", form).header("content-type", "multipart/form-data; boundary=b")
}

/// A file that this client makes.
async fn makes(world: &World, client: &Client, id: &str) {
    world.provider("primary").answers(file(id));
    assert_eq!(upload(client).await.status, 200);
}

fn read(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().unwrap().iter().map(|line| line["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_file_is_its_workspaces_alone() {
    let world = shared();
    let (ours, theirs) = (world.client_of("ours"), world.client_of("theirs"));
    makes(&world, &ours, "file-1").await;
    let (provider, before) = (world.provider("primary"), world.provider("primary").calls());
    for (method, path) in
        [("GET", "/v1/files/file-1"), ("GET", "/v1/files/file-1/content"), ("DELETE", "/v1/files/file-1")]
    {
        theirs.sends(method, path, "").await.is_refused(404, "object_not_found");
        ours.sends(method, &path.replace("file-1", "file-9"), "").await.is_refused(404, "object_not_found");
    }
    provider.was_called(before);

    // Whichever token of the workspace asks.
    assert_eq!(read(&world.client().gets("/v1/files/file-1").await)["filename"], "lines.jsonl");
    provider.answers(Answer::of(200, &[("content-type", "application/octet-stream")], "{}\n"));
    assert_eq!(ours.gets("/v1/files/file-1/content").await.text(), "{}\n");
    assert!(provider.last().head.starts_with("GET /v1/files/file-1/content "));
    assert_eq!(provider.last().header("authorization"), Some("Bearer key-of-primary"));
}

#[tokio::test]
async fn a_list_is_ours_and_the_provider_is_not_asked_for_it() {
    let world = shared();
    let (ours, theirs) = (world.client_of("ours"), world.client_of("theirs"));
    for number in 0..5 {
        makes(&world, &ours, &format!("file-{number}")).await;
    }
    makes(&world, &theirs, "file-x").await;
    let before = world.provider("primary").calls();
    let list = read(&ours.gets("/v1/files?order=asc").await);
    assert_eq!(ids(&list), ["file-0", "file-1", "file-2", "file-3", "file-4"]);
    assert_eq!((&list["object"], &list["has_more"]), (&"list".into(), &false.into()));
    assert_eq!(list["data"][0]["filename"], "lines.jsonl", "as the provider described it");
    assert_eq!(ids(&read(&theirs.gets("/v1/files").await)), ["file-x"]);
    let page = read(&ours.gets("/v1/files?order=asc&limit=2&after=file-1&purpose=batch").await);
    assert_eq!(
        (ids(&page), &page["has_more"], &page["last_id"]),
        (vec!["file-2", "file-3"], &true.into(), &"file-3".into())
    );
    assert!(ids(&read(&ours.gets("/v1/files?purpose=vision").await)).is_empty());
    assert!(ids(&read(&ours.gets("/v1/batches").await)).is_empty());
    let elsewhere = ours.gets("/v1/files").header("x-keyway-provider", "spare").await;
    assert!(ids(&read(&elsewhere)).is_empty());
    ours.gets("/v1/files?limit=none").await.is_refused(400, "field_invalid");
    world.provider("primary").was_called(before);

    // What was deleted is gone from it, but for one that its provider would not delete.
    world.provider("primary").answers(Answer::json(200, "{\"id\":\"file-3\",\"deleted\":true}"));
    assert_eq!(ours.sends("DELETE", "/v1/files/file-3", "").await.status, 200);
    world.provider("primary").answers(Answer::error(409, "in_use"));
    assert_eq!(ours.sends("DELETE", "/v1/files/file-4", "").await.status, 409);
    assert_eq!(ids(&read(&ours.gets("/v1/files").await)), ["file-4", "file-2", "file-1", "file-0"]);
    ours.gets("/v1/files/file-3").await.is_refused(404, "object_not_found");
}

#[tokio::test]
async fn a_workspace_with_a_key_of_its_own_is_not_looked_after() {
    let world = shared();
    let own = world.client_of("own");
    world.provider("primary").answers(Answer::json(200, "{\"data\":[]}"));
    let reply = own.gets("/v1/files?limit=2&after=file-1").header("x-keyway-provider", "primary").await;
    assert_eq!((reply.status, reply.text().as_str()), (200, "{\"data\":[]}"));
    let heard = world.provider("primary").last();
    assert!(heard.head.starts_with("GET /v1/files?limit=2&after=file-1 HTTP/1.1"), "{}", heard.head);
    assert_eq!(heard.header("authorization"), Some("Bearer own-key"));
    own.sends("DELETE", "/v1/files/file-1", "").header("x-keyway-provider", "primary").await;
    assert!(world.provider("primary").last().head.starts_with("DELETE /v1/files/file-1 HTTP/1.1"));
}

fn batch(input: &str) -> String {
    json!({"input_file_id": input, "endpoint": "/v1/chat/completions", "completion_window": "24h"}).to_string()
}

#[tokio::test]
async fn a_batch_takes_only_files_of_its_workspace_and_gives_it_those_that_it_writes() {
    let world = shared();
    let (ours, theirs) = (world.client_of("ours"), world.client_of("theirs"));
    makes(&world, &ours, "file-1").await;
    let before = world.provider("primary").calls();
    theirs.posts("/v1/batches", batch("file-1")).await.is_refused(404, "object_not_found");
    world.provider("primary").was_called(before);

    world.provider("primary").answers(Answer::json(200, "{\"id\":\"batch_1\",\"status\":\"validating\"}"));
    assert_eq!(ours.posts("/v1/batches", batch("file-1")).await.status, 200);
    assert_eq!(world.provider("primary").last().text(), batch("file-1"));
    theirs.sends("POST", "/v1/batches/batch_1/cancel", "").await.is_refused(404, "object_not_found");
    ours.gets("/v1/files/file-2").await.is_refused(404, "object_not_found");

    let done = json!({"id": "batch_1", "status": "completed", "output_file_id": "file-2", "error_file_id": null});
    world.provider("primary").answers(Answer::json(200, &done.to_string()));
    assert_eq!(read(&ours.gets("/v1/batches/batch_1").await), done);
    assert_eq!(ours.gets("/v1/files/file-2/content").await.status, 200);
    theirs.gets("/v1/files/file-2/content").await.is_refused(404, "object_not_found");
    // As it was last described.
    assert_eq!(read(&ours.gets("/v1/batches").await)["data"][0]["status"], "completed");
}

fn events(id: &str) -> Answer {
    let event = |kind: &str, more: Value| {
        let mut data = json!({"type": kind});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        format!("event: {kind}\ndata: {data}\n\n")
    };
    let item = json!({"item": {"id": format!("msg_of_{id}"), "type": "message"}});
    let events = [
        event("response.created", json!({"response": {"id": id}})),
        event("response.output_item.added", item),
        event("response.output_text.delta", json!({"delta": "hi"})),
        event("response.completed", json!({"response": {"id": id, "usage": {"input_tokens": 3, "output_tokens": 4}}})),
    ];
    events.iter().fold(Answer::begins(), Answer::event).ends()
}

fn response(model: &str, more: Value) -> String {
    let mut body = json!({"model": model, "input": "hi"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body.to_string()
}

#[tokio::test]
async fn a_response_goes_on_where_it_began_and_for_nobody_else() {
    let world = shared();
    let (ours, theirs) = (world.client(), world.client_of("other"));
    world.provider("spare").answers(events("resp_1"));
    let streamed = response("spare:m", json!({"stream": true}));
    assert_eq!(ours.posts("/v1/responses", streamed).await.status, 200);
    world.provider("spare").answers(Answer::json(200, "{\"id\":\"resp_2\",\"output\":[]}"));
    assert_eq!(ours.posts("/v1/responses", response("spare:m", json!({}))).await.status, 200);

    for id in ["resp_1", "resp_2"] {
        // The alias would try the other provider first.
        let goes_on = response("fast", json!({"previous_response_id": id}));
        theirs.posts("/v1/responses", goes_on.clone()).await.is_refused(404, "object_not_found");
        world.provider("primary").was_not_called();
        let before = world.provider("spare").calls();
        assert_eq!(ours.posts("/v1/responses", goes_on).await.status, 200);
        world.provider("spare").was_called(before + 1);
        theirs.gets(&format!("/v1/responses/{id}")).await.is_refused(404, "object_not_found");
        assert_eq!(ours.gets(&format!("/v1/responses/{id}")).await.status, 200);
        assert!(world.provider("spare").last().head.starts_with(&format!("GET /v1/responses/{id} ")));
    }
    let elsewhere = response("primary:m", json!({"previous_response_id": "resp_1"}));
    ours.posts("/v1/responses", elsewhere).await.is_refused(400, "field_invalid");
    world.provider("spare").answers(Answer::json(200, "{\"id\":\"resp_1\",\"deleted\":true}"));
    assert_eq!(ours.sends("DELETE", "/v1/responses/resp_1", "").await.status, 200);
    ours.gets("/v1/responses/resp_1").await.is_refused(404, "object_not_found");
}

#[tokio::test]
async fn an_item_of_a_response_can_be_named_by_its_workspace_alone() {
    let world = shared();
    let (ours, theirs) = (world.client(), world.client_of("other"));
    world.provider("spare").answers(events("resp_1"));
    assert_eq!(ours.posts("/v1/responses", response("spare:m", json!({"stream": true}))).await.status, 200);
    // Longer than what is judged of an answer before it goes on.
    let text = "x".repeat(20_000);
    let output = json!([{"type": "message", "id": "msg_1", "content": text}, {"type": "reasoning", "id": "rs_1"}]);
    let whole = json!({"id": "resp_2", "output": output}).to_string();
    world.provider("spare").answers(Answer::json(200, &whole));
    assert_eq!(ours.posts("/v1/responses", response("spare:m", json!({}))).await.text(), whole);
    for id in ["msg_of_resp_1", "msg_1", "rs_1"] {
        let body = response("fast", json!({"input": [{"type": "item_reference", "id": id}]}));
        theirs.posts("/v1/responses", body.clone()).await.is_refused(404, "object_not_found");
        assert_eq!(ours.posts("/v1/responses", body).await.status, 200);
    }
    world.provider("primary").was_not_called();
}

#[tokio::test]
async fn a_conversation_is_its_workspaces_alone() {
    let world = shared();
    let (ours, theirs) = (world.client(), world.client_of("other"));
    world.provider("primary").answers(Answer::json(200, "{\"id\":\"conv_1\",\"object\":\"conversation\"}"));
    assert_eq!(ours.posts("/v1/conversations", "{}").await.status, 200);
    let items = "{\"items\":[{\"type\":\"message\",\"role\":\"user\",\"content\":\"hi\"}]}";
    let goes_on = response("fast", json!({"conversation": {"id": "conv_1"}}));
    theirs.posts("/v1/conversations/conv_1/items", items).await.is_refused(404, "object_not_found");
    theirs.posts("/v1/responses", goes_on.clone()).await.is_refused(404, "object_not_found");
    theirs.gets("/v1/conversations/conv_1").await.is_refused(404, "object_not_found");
    ours.gets("/v1/conversations").await.is_refused(405, "method_not_allowed");
    world.provider("primary").was_called(1);
    assert_eq!(ours.posts("/v1/conversations/conv_1/items", items).await.status, 200);
    assert!(world.provider("primary").last().head.starts_with("POST /v1/conversations/conv_1/items "));
    assert_eq!(ours.posts("/v1/responses", goes_on).await.status, 200);
    assert_eq!(ours.sends("DELETE", "/v1/conversations/conv_1/items/msg_1", "").await.status, 200);
    assert_eq!(ours.gets("/v1/conversations/conv_1").await.status, 200, "only an item was deleted");
    world.provider("primary").answers(Answer::json(200, "{\"id\":\"conv_1\",\"deleted\":true}"));
    assert_eq!(ours.sends("DELETE", "/v1/conversations/conv_1", "").await.status, 200);
    ours.gets("/v1/conversations/conv_1").await.is_refused(404, "object_not_found");
}

#[tokio::test]
async fn a_response_that_is_not_stored_is_not_on_record() {
    let world = shared();
    world.provider("primary").answers(events("resp_1"));
    let body = response("primary:m", json!({"stream": true, "store": false}));
    assert_eq!(world.client().posts("/v1/responses", body).await.status, 200);
    world.client().gets("/v1/responses/resp_1").await.is_refused(404, "object_not_found");
}

#[tokio::test]
async fn ids_of_several_places_in_one_call_are_refused_by_name() {
    let world = shared();
    let ours = world.client();
    world.provider("primary").answers(Answer::json(200, "{\"id\":\"resp_1\"}"));
    ours.posts("/v1/responses", response("primary:m", json!({}))).await;
    world.provider("spare").answers(file("file-2"));
    assert_eq!(upload(&ours).header("x-keyway-provider", "spare").await.status, 200);
    let input = json!([{"role": "user", "content": [{"type": "input_file", "file_id": "file-2"}]}]);
    let both = response("fast", json!({"previous_response_id": "resp_1", "input": input}));
    ours.posts("/v1/responses", both).await.is_refused(400, "field_invalid");
}

/// In memory nothing can be put on record.
#[tokio::test(start_paused = true)]
async fn without_the_record_a_shared_credential_makes_nothing_and_ones_own_goes_on() {
    let world = plan(World::of(["primary", "spare"])).stands();
    let (ours, own) = (world.client_of("ours"), world.client_of("own"));
    for path in ["/v1/files/file-1", "/v1/files"] {
        let reply = ours.gets(path).await;
        reply.is_refused(503, "state_unavailable");
        assert_eq!(reply.header("retry-after"), Some("1"));
    }
    upload(&ours).await.is_refused(503, "state_unavailable");
    world.provider("primary").was_not_called();
    let file = own.gets("/v1/files/file-1").header("x-keyway-provider", "primary").await;
    assert_eq!(file.status, 200);
    // What needs no record is answered as ever.
    assert_eq!(ours.asks("primary:m").await.status, 200);
}
