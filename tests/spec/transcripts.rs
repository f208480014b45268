//! Promise: whoever speaks Responses can go on from a response though the provider keeps none, and nobody else can.

use keyway::domain::protocol::Protocol;
use serde_json::{Value, json};

use super::support::{Answer, Ask, Client, Plan, Reply, World};

fn plan() -> Plan {
    World::on_loopback(["primary", "spare"]).provider("spare", "kind", "\"openai\"").neighbour("other")
}

fn read(reply: &Reply) -> Value {
    assert_eq!(reply.status, 200, "{}", reply.text());
    serde_json::from_str(&reply.text()).unwrap()
}

fn asks(client: &Client, body: &Value) -> Ask {
    client.posts("/v1/responses", body.to_string())
}

/// What the provider was asked last, as pairs of role and text.
fn heard(world: &World, provider: &str) -> Vec<(String, String)> {
    let body: Value = serde_json::from_str(&world.provider(provider).last().text()).unwrap();
    let messages = body["messages"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_string();
    messages.map(|message| (text(&message["role"]), text(&message["content"]))).collect()
}

fn told(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(role, text)| (role.to_string(), text.to_string())).collect()
}

/// The id of the response with which a stream of events ended.
fn id_of_stream(reply: &Reply) -> String {
    let text = reply.text();
    let last = text.lines().filter_map(|line| line.strip_prefix("data: {")).next_back().unwrap();
    let event: Value = serde_json::from_str(&format!("{{{last}")).unwrap();
    event["response"]["id"].as_str().unwrap().to_string()
}

#[tokio::test]
async fn a_conversation_goes_on_with_a_provider_that_keeps_none() {
    let world = plan().stands();
    let client = world.client();
    world.provider("primary").answers(Answer::whole("Zoë."));
    let first = json!({"model": "primary:m", "instructions": "Be brief.", "input": "Who are you?"});
    let first = read(&asks(&client, &first).await);
    assert_eq!((&first["store"], &first["previous_response_id"]), (&json!(true), &Value::Null));

    world.provider("primary").answers(Answer::stream(["Be", "rlin."]));
    let second = json!({"model": "primary:m", "input": [{"role": "user", "content": "Where?"}], "previous_response_id": first["id"]});
    let second = asks(&client, &second).streamed().await;
    assert_eq!(heard(&world, "primary"), told(&[("user", "Who are you?"), ("assistant", "Zoë."), ("user", "Where?")]));
    assert!(second.text().contains(&format!("\"previous_response_id\":{}", first["id"])), "{}", second.text());

    // Its instructions were for one call; all that was said goes on, to whichever provider.
    world.provider("primary").answers(Answer::whole("Yes."));
    let third = json!({"model": "primary:m", "instructions": "Shout.", "input": "Sure?", "previous_response_id": id_of_stream(&second)});
    read(&asks(&client, &third).await);
    let all = [
        ("system", "Shout."),
        ("user", "Who are you?"),
        ("assistant", "Zoë."),
        ("user", "Where?"),
        ("assistant", "Berlin."),
        ("user", "Sure?"),
    ];
    assert_eq!(heard(&world, "primary"), told(&all));
}

#[tokio::test]
async fn a_provider_that_keeps_responses_is_told_all_of_ours_and_never_our_id() {
    let world = plan().stands();
    let client = world.client();
    world.provider("primary").answers(Answer::whole("Zoë."));
    let first = read(&asks(&client, &json!({"model": "primary:m", "input": "Who?"})).await);
    let answer = json!({
        "id": "resp_theirs", "object": "response", "status": "completed", "model": "m",
        "output": [{"type": "message", "id": "msg_theirs", "role": "assistant", "status": "completed", "content": [{"type": "output_text", "text": "Here.", "annotations": []}]}],
        "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2},
    });
    world.provider("spare").answers(Answer::json(200, &answer.to_string()));
    let body = json!({"model": "spare:m", "input": "Where?", "previous_response_id": first["id"]});
    let second = read(&asks(&client, &body).await);
    let sent: Value = serde_json::from_str(&world.provider("spare").last().text()).unwrap();
    assert_eq!((sent["input"].as_array().unwrap().len(), &sent["store"]), (3, &json!(false)), "{sent}");
    assert!(sent.get("previous_response_id").is_none());
    // What was ours stays ours, so the chain goes on.
    assert_ne!(second["id"], "resp_theirs");
    world.provider("primary").answers(Answer::whole("Yes."));
    read(&asks(&client, &json!({"model": "primary:m", "input": "Sure?", "previous_response_id": second["id"]})).await);
    assert_eq!(heard(&world, "primary").len(), 5);
}

#[tokio::test]
async fn nobody_goes_on_from_what_is_not_theirs_or_was_not_kept() {
    let world = plan().stands();
    world.provider("primary").answers(Answer::whole("Zoë."));
    let kept = read(&asks(&world.client(), &json!({"model": "primary:m", "input": "Who?"})).await);
    let unkept = read(&asks(&world.client(), &json!({"model": "primary:m", "input": "Who?", "store": false})).await);
    let before = world.provider("primary").calls();
    let going_on = |id: &Value| json!({"model": "primary:m", "input": "x", "previous_response_id": id});
    let (ours, theirs) = (world.client(), world.client_of("other"));
    for (client, id) in [(&theirs, &kept["id"]), (&ours, &unkept["id"])] {
        asks(client, &going_on(id)).await.is_refused(400, "previous_response_not_found");
        let path = format!("/v1/responses/{}", id.as_str().unwrap());
        client.gets(&path).await.is_refused(404, "object_not_found");
        client.sends("DELETE", &path, "").await.is_refused(404, "object_not_found");
    }
    world.provider("primary").was_called(before);

    let path = format!("/v1/responses/{}", kept["id"].as_str().unwrap());
    assert_eq!(read(&ours.gets(&path).await), kept);
    let items = read(&ours.gets(&format!("{path}/input_items")).await);
    assert_eq!((&items["object"], &items["data"][0]["content"]), (&json!("list"), &json!("Who?")));
    assert_eq!(read(&ours.sends("DELETE", &path, "").await)["deleted"], json!(true));
    asks(&ours, &going_on(&kept["id"])).await.is_refused(400, "previous_response_not_found");
}

#[tokio::test]
async fn tools_and_their_results_are_part_of_what_was_said() {
    for upstream in [Protocol::Messages, Protocol::Gemini] {
        let plan = plan().provider("primary", "protocol", &format!("\"{upstream}\""));
        let world = plan.stands();
        let called = std::fs::read_to_string(format!("tests/golden/{upstream}/tool_call/answer.json"));
        let Ok(called) = called else { panic!("tests/golden/{upstream} has no case of that name") };
        world.provider("primary").answers(Answer::json(200, &called));
        let first = read(&asks(&world.client(), &json!({"model": "primary:m", "input": "Weather?"})).await);
        let calls: Vec<&Value> =
            first["output"].as_array().unwrap().iter().filter(|item| item["type"] == "function_call").collect();
        assert!(!calls.is_empty(), "{first}");
        let results: Vec<Value> = calls
            .iter()
            .map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "sunny"}))
            .collect();
        let body = json!({"model": "primary:m", "input": results, "previous_response_id": first["id"]});
        read(&asks(&world.client(), &body).await);
        let sent = world.provider("primary").last().text();
        assert!(sent.contains("Weather?") && sent.contains("sunny"), "{sent}");
        assert!(sent.contains(calls[0]["name"].as_str().unwrap()), "{sent}");
    }
}
