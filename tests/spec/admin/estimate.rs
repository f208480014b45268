//! What a call may cost and whether it would be let through, said before it is made.

use keyway::directory::tokens::NewToken;
use keyway::domain::permission::AccessRole;
use serde_json::json;

use super::office::Office;

#[tokio::test]
async fn a_call_is_estimated_at_each_target_and_held_against_what_is_left() {
    let office = Office::opens().await;
    let (_, workspace) = office.org("acme").await;
    let admin = NewToken { role: AccessRole::OrgAdmin, ..NewToken::of(workspace) };
    let client = office.client_with(admin).await;
    let planned = json!({"model": "openai:gpt-4o-mini", "inputTokens": 1_000_000, "maxTokens": 1_000_000});
    let nowhere = client.post("/estimate", json!({"model": "nobody:knows"})).await.with(200);
    assert_eq!((&nowhere["admitted"], &nowhere["refusal"]["code"]), (&json!(false), &json!("model_not_found")));
    let estimate = client.post("/estimate", planned.clone()).await.with(200);
    let target = json!({
        "provider": "openai", "model": "gpt-4o-mini", "inputTokens": 1_000_000, "outputTokens": 1_000_000, "cost": "0.75",
    });
    assert_eq!(estimate, json!({"targets": [target], "most": "0.75", "admitted": true, "refusal": null}));
    let text = json!({"model": "openai:gpt-4o-mini", "text": "x".repeat(3_000), "mediaParts": 1});
    let estimate = client.post("/estimate", text).await.with(200);
    assert_eq!(estimate["targets"][0]["inputTokens"], 3_000, "a third of the bytes, and 2,000 for the image");
    assert_eq!(estimate["targets"][0]["outputTokens"], 4_096);
    let unknown = json!({"model": "openai:made-up"});
    let estimate = client.post("/estimate", unknown).await.with(200);
    assert_eq!((&estimate["most"], &estimate["admitted"]), (&json!(null), &json!(true)));

    client.patch(&format!("/workspaces/{workspace}"), json!({"limits": {"moneyPerDay": "0.5"}})).await.with(200);
    office.follows().await;
    for _ in 0..2 {
        let estimate = client.post("/estimate", planned.clone()).await.with(200);
        assert_eq!((&estimate["admitted"], &estimate["refusal"]["code"]), (&json!(false), &json!("budget_exceeded")));
        let half = json!({"model": "openai:gpt-4o-mini", "inputTokens": 2_000_000, "maxTokens": 1});
        assert_eq!(
            client.post("/estimate", half).await.with(200)["admitted"],
            true,
            "what was estimated is held no more"
        );
    }
}
