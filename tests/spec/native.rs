//! One message to a model, or to several at once, in our own words.

use keyway::domain::protocol::Protocol;
use keyway::meter::Outcome;
use serde_json::{Value, json};

use super::support::{Answer, Plan, Reply, World, secs};

fn object(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.bytes).unwrap_or_else(|_| panic!("{}", reply.text()))
}

fn question(model: &str) -> String {
    json!({
        "modelId": model, "message": "Explain Hebbian learning in 3 sentences",
        "systemPrompt": "You are a neuroscience expert.", "temperature": 0.7, "maxTokens": 500, "tools": [], "toolChoice": "auto",
    })
    .to_string()
}

fn broadcast(models: &[&str]) -> String {
    json!({"models": models, "message": "What is the capital of New Zealand?", "timeoutMs": 30_000}).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_message_is_answered_as_the_manual_prints_it() {
    for path in ["/api/v1/chat", "/api/ai/chat"] {
        let world = World::of(["primary"]).stands();
        world.provider("primary").answers(Answer::whole("Hebbian learning is…").after(secs(2)));
        let reply = world.client().posts(path, question("primary:m")).await;
        let id = reply.header("x-keyway-request-id").unwrap();
        assert_eq!(
            object(&reply),
            json!({
                "success": true, "model": "m", "reply": "Hebbian learning is…",
                "usage": {"promptTokens": 7, "completionTokens": 2, "totalTokens": 9}, "cost": null,
                "responseTimeMs": 2000, "toolCalls": null, "finishReason": "stop", "requestId": id,
            })
        );
        assert_eq!(reply.header("x-keyway-provider"), Some("primary"));
        let asked: Value = serde_json::from_str(&world.provider("primary").last().text()).unwrap();
        assert_eq!((&asked["temperature"], &asked["max_tokens"]), (&json!(0.7), &json!(500)));
        assert_eq!(asked["messages"][0]["content"], "You are a neuroscience expert.");
        let record = world.record();
        assert_eq!((record.outcome, record.usage.output), (Outcome::Served, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_says_what_it_cost() {
    let plan =
        World::of(["primary", "spare"]).model("primary", "input_cost", "1").model("primary", "output_cost", "2.5");
    let world = plan.stands();
    let reply = world.client().posts("/api/v1/chat", question("primary:m")).await;
    let answer = object(&reply);
    assert_eq!((&answer["usage"]["totalTokens"], &answer["cost"]), (&json!(9), &json!("0.000012")));
    world.provider("spare").answers(Answer::error(400, "invalid_value"));
    let answer = object(&world.client().posts("/api/v1/broadcast", broadcast(&["primary:m", "spare:m"])).await);
    let of = |index: usize| &answer["responses"][index]["cost"];
    assert_eq!((of(0), of(1)), (&json!("0.000012"), &json!("0")), "{answer}");
}

#[tokio::test(start_paused = true)]
async fn a_streamed_message_is_answered_with_the_events_of_open_responses() {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(Answer::stream(["Hel", "lo"]));
    let reply = world.client().posts("/api/v1/chat", question("fast")).streamed().await;
    let text = reply.text();
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds[..3], ["response.created", "response.in_progress", "response.output_item.added"]);
    assert_eq!(kinds[kinds.len() - 2..], ["response.output_item.done", "response.completed"]);
    assert!(text.ends_with("data: [DONE]\n\n") && text.contains(r#""delta":"lo""#), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_tool_that_the_model_calls_is_told() {
    let world = World::of(["primary"]).stands();
    let call = r#"{"choices":[{"index":0,"finish_reason":"tool_calls","message":{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]}}]}"#;
    world.provider("primary").answers(Answer::json(200, call));
    let tool = json!({"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}});
    let body = json!({"modelId": "fast", "message": "go", "tools": [tool], "toolChoice": "required"});
    let answer = object(&world.client().posts("/api/v1/chat", body.to_string()).await);
    assert_eq!(
        answer["toolCalls"],
        json!([{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}])
    );
    let asked: Value = serde_json::from_str(&world.provider("primary").last().text()).unwrap();
    assert_eq!((&asked["tools"][0]["function"]["name"], &asked["tool_choice"]), (&json!("f"), &json!("required")));
}

#[tokio::test(start_paused = true)]
async fn what_goes_wrong_is_a_problem_with_the_status_that_it_has_elsewhere() {
    let world = World::of(["primary"]).stands();
    world.provider("primary").answers(Answer::error(400, "too_odd"));
    let client = world.client();
    for (reply, status, code) in [
        (client.posts("/api/v1/chat", question("fast")).await, 400, "too_odd"),
        (client.posts("/api/v1/chat", question("nobody")).await, 404, "model_not_found"),
        (client.posts("/api/v1/chat", question("fast")).without("authorization").await, 401, "token_missing"),
        (client.posts("/api/v1/chat", r#"{"modelId":"fast"}"#).await, 400, "field_invalid"),
        (client.posts("/api/v1/broadcast", broadcast(&[])).await, 400, "field_invalid"),
        (client.posts("/api/v1/broadcast", "[").await, 400, "body_invalid"),
        (client.gets("/api/v1/chat").await, 405, "method_not_allowed"),
        (
            client.sends("POST", "/api/v1/chat", "x").header("content-type", "text/plain").await,
            415,
            "content_type_unsupported",
        ),
    ] {
        let problem = object(&reply);
        assert_eq!((reply.status, &problem["status"], &problem["code"]), (status, &json!(status), &json!(code)));
        assert_eq!(
            (reply.header("content-type"), &problem["success"]),
            (Some("application/problem+json"), &json!(false))
        );
    }
    assert_eq!(client.posts("/api/v1/chat", question("fast")).streamed().await.status, 400);
}

#[tokio::test(start_paused = true)]
async fn many_models_hear_one_message_at_once_and_each_has_its_own_end() {
    let plan = World::of(["primary", "spare", "slow"]).provider("spare", "protocol", "\"messages\"");
    let world = plan.stands();
    world.provider("primary").answers(Answer::whole("Wellington").after(secs(3)));
    world.provider("spare").answers(Answer::json(
        200,
        r#"{"id":"x","type":"message","role":"assistant","content":[{"type":"text","text":"Auckland"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":6}}"#,
    ));
    world.provider("slow").answers(Answer::whole("late").after(secs(60)));
    let asked = tokio::time::Instant::now();
    let models = ["primary:m", "spare:m", "slow:m", "nobody", "Zoë"];
    let reply = world.client().posts("/api/v1/broadcast", broadcast(&models)).await;
    assert!(asked.elapsed() < secs(31), "they were asked one behind the other: {:?}", asked.elapsed());
    let answer = object(&reply);
    assert_eq!((reply.status, &answer["success"]), (200, &json!(false)));
    let each = answer["responses"].as_array().unwrap();
    let requested: Vec<&str> = each.iter().map(|one| one["requested"].as_str().unwrap()).collect();
    assert_eq!(requested, models);
    assert_eq!((&each[0]["reply"], &each[0]["responseTimeMs"]), (&json!("Wellington"), &json!(3_000)));
    assert_eq!((&each[1]["reply"], &each[1]["usage"]["totalTokens"]), (&json!("Auckland"), &json!(11)));
    assert_eq!((&each[2]["error"]["code"], &each[2]["reply"]), (&json!("provider_timeout"), &Value::Null));
    assert_eq!((&each[3]["error"]["status"], &each[3]["error"]["code"]), (&json!(404), &json!("model_not_found")));
    assert_eq!((&each[4]["error"]["status"], &each[4]["success"]), (&json!(404), &json!(false)));
    assert!(answer["totalTimeMs"].as_u64().unwrap() >= 30_000);
    // Four found their way into the books; the last has no name that a header could say.
    assert_eq!(world.records().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_broadcast_whose_client_leaves_calls_nobody_any_longer() {
    let world = World::of(["primary", "spare"]).stands();
    for name in ["primary", "spare"] {
        world.provider(name).answers(Answer::whole("late").after(secs(20)));
    }
    let body = broadcast(&["primary:m", "spare:m"]);
    let length = body.len();
    let head = format!(
        "POST /api/v1/broadcast HTTP/1.1\r\nhost: x\r\nauthorization: Bearer TOKEN\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    world.client().leaves_after(&head).await;
    tokio::time::sleep(secs(1)).await;
    world.is_at_rest().await;
    assert_eq!(world.outcomes(), [Outcome::ClientLeft; 2]);
}

fn hydrated(upstream: Protocol) -> Plan {
    let plan = World::of(["primary"]).provider("primary", "protocol", &format!("\"{upstream}\""));
    let plan = plan.model("primary", "enable_hydration", "true").model("primary", "hydration_identity", "\"ada\"");
    plan.and("[[identity]]\nid = \"ada\"\ntext = \"You are Ada.\"\n")
}

#[tokio::test(start_paused = true)]
async fn an_identity_stands_before_the_system_prompt_on_every_path() {
    for upstream in [Protocol::Chat, Protocol::Responses, Protocol::Messages, Protocol::Gemini, Protocol::Bedrock] {
        let world = hydrated(upstream).stands();
        world.provider("primary").answers(Answer::error(400, "enough"));
        for (path, body) in [
            (
                "/v1/chat/completions",
                r#"{"model":"m","messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"}]}"#,
            ),
            ("/v1/responses", r#"{"model":"m","instructions":"Be brief.","input":"hi"}"#),
            (
                "/v1/messages",
                r#"{"model":"m","max_tokens":9,"system":"Be brief.","messages":[{"role":"user","content":"hi"}]}"#,
            ),
            (
                "/v1beta/models/m:generateContent",
                r#"{"systemInstruction":{"parts":[{"text":"Be brief."}]},"contents":[{"role":"user","parts":[{"text":"hi"}]}]}"#,
            ),
            ("/api/v1/chat", r#"{"modelId":"m","systemPrompt":"Be brief.","message":"hi"}"#),
            ("/api/ai/broadcast", r#"{"models":["m"],"systemPrompt":"Be brief.","message":"hi"}"#),
        ] {
            world.client().posts(path, body).await;
            let heard = world.provider("primary").last().text();
            let (identity, prompt) = (heard.find("You are Ada."), heard.find("Be brief."));
            assert!(identity.is_some() && identity < prompt, "{path} to {upstream}: {heard}");
        }
    }
}
