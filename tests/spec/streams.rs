//! Streams: held until they are one, bridged while silent, honest when they break, and never read faster than the client.

mod leaving;

use super::support::{Answer, Plan, Reply, World, says, secs};
use keyway::domain::usage::Basis;
use keyway::meter::Outcome;

fn one() -> World {
    World::of(["primary"]).stands()
}

fn two() -> Plan {
    World::of(["primary", "spare"])
}

/// What the client gets of these events, each sent as a chunk of its own.
async fn check(events: &[&str], reply: impl FnOnce(&Reply)) {
    let world = one();
    let answer = events.iter().fold(Answer::begins(), Answer::event);
    world.provider("primary").answers(answer.ends());
    reply(&world.client().asks("m").streamed().await);
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_held_up_to_its_first_content_and_then_comes_at_once() {
    let world = one();
    let answer = Answer::begins().event(Answer::ROLE).waits(secs(3)).event(says("a")).waits(secs(2)).event(says("b"));
    world.provider("primary").answers(answer.event(Answer::FINISH).event(Answer::DONE).ends());
    let mut live = world.client().asks("m").streamed().begins().await;
    live.hears("\"a\"").await;
    assert_eq!(live.elapsed(), secs(3));
    live.hears("\"b\"").await;
    assert_eq!(live.elapsed(), secs(5));
    live.rest().await.is_served("ab");
}

#[tokio::test(start_paused = true)]
async fn sixty_four_events_without_content_are_enough_to_commit() {
    let world = two().stands();
    let answer = (0..64).fold(Answer::begins(), |answer, _| answer.event(Answer::ROLE));
    world.provider("primary").answers(answer.closes());
    world.client().asks("fast").streamed().await.breaks_off("closed the stream before finishing");
    let answer = (0..63).fold(Answer::begins(), |answer, _| answer.event(Answer::ROLE));
    let world = two().stands();
    world.provider("primary").answers(answer.closes());
    world.provider("spare").answers(Answer::stream(["hello"]));
    world.client().asks("fast").streamed().await.is_served("hello");
}

#[tokio::test(start_paused = true)]
async fn so_are_256_kib() {
    let world = two().stands();
    let large = format!(": {}\n\n", "x".repeat(16 * 1024));
    let answer = (0..16).fold(Answer::begins(), |answer, _| answer.event(&large));
    world.provider("primary").answers(answer.closes());
    let reply = world.client().asks("fast").streamed().await;
    reply.breaks_off("closed the stream before finishing");
    world.provider("spare").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn after_15_seconds_without_content_the_client_gets_a_head_and_comments() {
    let world = two().stands();
    world.provider("primary").answers(Answer::default().hangs());
    world.provider("spare").answers(Answer::stream(["hello"]));
    let mut live = world.client().asks("fast").streamed().begins().await;
    assert_eq!((live.status, live.elapsed()), (200, secs(15)));
    assert_eq!(live.headers["content-type"], "text/event-stream");
    for absent in ["x-keyway-provider", "x-keyway-model", "x-keyway-attempts"] {
        assert!(!live.headers.contains_key(absent), "{absent} can't be known yet");
    }
    live.hears(": keep-alive\n\n").await;
    assert_eq!(live.elapsed(), secs(15));
    live.hears(": keep-alive\n\n: keep-alive\n\n").await;
    assert_eq!(live.elapsed(), secs(30));
    // Failover is still possible: the first provider's time is up after 120 s.
    let reply = live.rest().await;
    reply.is_served("hello");
    assert_eq!(reply.took, secs(120));
    assert_eq!(world.record().trail.tried(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_failure_while_the_client_waits_becomes_the_last_event() {
    check_late(Answer::error(500, "down"), "down", Outcome::Failed).await;
    check_late(
        Answer::json(400, "{\n  \"error\": {\"code\": \"content_filter\"}\r\n}"),
        "content_filter",
        Outcome::Rejected,
    )
    .await;
    check_late(Answer::error(401, "invalid_api_key"), "credential_rejected", Outcome::Failed).await;
    check_late(Answer::of(502, &[], "<html>"), "provider_failed", Outcome::Failed).await;
    check_late(Answer::whole("hello"), "provider_failed", Outcome::Failed).await;
}

/// A stream whose provider says this after the head has gone out ends with an error of this code.
async fn check_late(answer: Answer, code: &str, outcome: Outcome) {
    let world = one();
    world.provider("primary").answers(answer.after(secs(20)));
    let reply = world.client().asks("m").streamed().await;
    reply.is_refused(200, code).breaks_off(code);
    assert_eq!(reply.took, secs(20));
    assert_eq!(world.record().outcome, outcome, "{code}");
}

#[tokio::test(start_paused = true)]
async fn silence_behind_the_first_content_is_bridged_every_15_seconds_and_ends_after_a_minute() {
    let world = two().stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).hangs());
    let reply = world.client().asks("fast").streamed().await;
    reply.breaks_off("fell silent");
    assert_eq!((reply.says().as_str(), reply.took), ("Hel", secs(60)));
    let comments: Vec<u64> =
        reply.pieces.iter().filter(|(_, piece)| piece.starts_with(b": keep")).map(|(at, _)| at.as_secs()).collect();
    assert_eq!(comments, [15, 30, 45]);
    world.provider("spare").was_not_called();
    assert_eq!(world.record().outcome, Outcome::CutOff);
}

#[tokio::test(start_paused = true)]
async fn no_comment_is_put_into_an_event() {
    let world = one();
    let event = says("second");
    let (begin, end) = event.split_at(30);
    let answer = Answer::begins().event(says("first ")).event(begin).waits(secs(50)).event(end);
    world.provider("primary").answers(answer.event(Answer::FINISH).event(Answer::DONE).ends());
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("first second");
    assert!(!reply.text().contains("keep-alive"), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn a_long_thought_is_bridged_and_costs_nothing() {
    let world = one();
    let answer =
        Answer::begins().event(says("a")).waits(secs(59)).event(says("b")).waits(secs(59)).event(Answer::FINISH);
    world.provider("primary").answers(answer.event(Answer::DONE).ends());
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("ab");
    assert_eq!(reply.text().matches(": keep-alive\n\n").count(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_stream_cut_in_the_middle_of_an_event_ends_with_an_event_of_its_own() {
    for cut in [says("Hel").as_str(), "data: {\"choices\":[{\"delta\":{\"cont", "data: [DON", "data: [DONE]"] {
        for answer in [
            Answer::begins().event(says("one")).event(cut).closes(),
            Answer::begins().event(says("one")).event(cut).waits(secs(1)).resets(),
        ] {
            let world = one();
            world.provider("primary").answers(answer);
            let reply = world.client().asks("m").streamed().await;
            let last = reply.text().trim_end().rsplit("\n\n").next().unwrap().to_string();
            let last = last.strip_prefix("data: ").unwrap_or_else(|| panic!("{cut}: {:?}", reply.text()));
            let value: serde_json::Value = serde_json::from_str(last).unwrap();
            assert_eq!(value["error"]["code"], "provider_failed");
            assert!(reply.broken);
            assert_eq!(world.record().outcome, Outcome::CutOff, "{cut}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_well_without_its_last_event_is_no_clean_end() {
    let world = one();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).ends());
    world.client().asks("m").streamed().await.breaks_off("closed the stream before finishing");
}

#[tokio::test(start_paused = true)]
async fn an_error_event_of_the_providers_own_is_the_last_word() {
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"code\":\"overloaded\"}}\n\n";
    let world = two().stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).event(error).ends());
    let reply = world.client().asks("fast").streamed().await;
    reply.breaks_off("overloaded");
    assert_eq!(reply.text().matches("\"error\"").count(), 1);
    assert_eq!(world.record().outcome, Outcome::Failed);
    world.provider("spare").was_not_called();
}

#[tokio::test(start_paused = true)]
async fn usage_is_asked_for_counted_and_kept_from_a_client_that_did_not_ask() {
    let world = one();
    world.provider("primary").answers(Answer::stream(["Hel", "lo"]));
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("Hello");
    assert!(world.provider("primary").last().text().contains("\"include_usage\":true"));
    assert!(!reply.text().contains("usage"), "{}", reply.text());
    assert!(reply.text().ends_with(Answer::DONE));
    let record = world.record();
    assert_eq!((record.usage.input, record.usage.output, record.basis), (7, 2, Basis::Reported));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_asked_for_usage_gets_it() {
    let world = one();
    world.provider("primary").answers(Answer::stream(["Hello"]));
    let body = "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}";
    let reply = world.client().posts("/v1/chat/completions", body).await;
    assert!(reply.text().contains(Answer::USAGE), "{}", reply.text());
    assert_eq!(world.record().usage.output, 2);
}

#[tokio::test(start_paused = true)]
async fn a_first_chunk_with_neither_choices_nor_usage_stays() {
    const FILTERS: &str = "data: {\"choices\":[],\"prompt_filter_results\":[{\"prompt_index\":0}]}\n\n";
    let content = says("hi");
    let all = [FILTERS, Answer::ROLE, &content, Answer::FINISH, Answer::USAGE, Answer::DONE];
    check(&all, |reply| {
        assert_eq!(reply.text(), [FILTERS, Answer::ROLE, &content, Answer::FINISH, Answer::DONE].concat());
    })
    .await;
}

/// This text as the provider's stream, cut every `size` bytes, comes out as it went in.
async fn check_split(text: &str, size: usize) {
    let world = one();
    let chunks = text.as_bytes().chunks(size);
    world.provider("primary").answers(chunks.fold(Answer::begins(), Answer::event).ends());
    let body = "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}";
    let reply = world.client().posts("/v1/chat/completions", body).await;
    assert_eq!((reply.text().as_str(), reply.broken), (text, false), "{size}");
    assert_eq!(world.record().usage.output, 2, "{size}");
}

#[tokio::test(start_paused = true)]
async fn the_providers_bytes_are_the_clients_however_they_are_cut() {
    let lf = [
        ": hello\n\n",
        Answer::ROLE,
        &says("naïve 🦀"),
        "id: 7\nevent: x\nretry: 3\n",
        &says("漢字"),
        Answer::FINISH,
        Answer::USAGE,
        Answer::DONE,
    ]
    .concat();
    let crlf = lf.replace('\n', "\r\n");
    for size in (1..40).chain([100, 1_000]) {
        check_split(&lf, size).await;
        check_split(&crlf, size).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_taken_out_is_taken_out_however_it_is_cut() {
    let text = [Answer::ROLE, &says("naïve 🦀"), Answer::FINISH, Answer::USAGE, Answer::DONE].concat();
    let wanted = text.replace(Answer::USAGE, "");
    for size in 1..60 {
        let world = one();
        world.provider("primary").answers(text.as_bytes().chunks(size).fold(Answer::begins(), Answer::event).ends());
        let reply = world.client().asks("m").streamed().await;
        assert_eq!((reply.text(), reply.broken), (wanted.clone(), false), "{size}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_tool_call_a_refusal_and_a_thought_are_content() {
    for delta in [
        "{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}",
        "{\"refusal\":\"no\"}",
        "{\"reasoning_content\":\"hm\"}",
        "{\"audio\":{\"id\":\"a\"}}",
    ] {
        let world = two().stands();
        let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{delta}}}]}}\n\n");
        world.provider("primary").answers(Answer::begins().event(event).closes());
        world.client().asks("fast").streamed().await.breaks_off("closed the stream");
        world.provider("spare").was_not_called();
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_answer_to_a_streamed_call_is_passed_on_as_it_is() {
    let world = one();
    world.provider("primary").answers(Answer::whole("hello"));
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("hello");
    assert_eq!(reply.header("content-type"), Some("application/json"));
}

#[tokio::test]
async fn over_sockets_a_cut_stream_ends_honestly_too() {
    let world = World::on_loopback(["primary"]).stands();
    world.provider("primary").answers(Answer::begins().event(says("Hel")).resets());
    let reply = world.client().asks("m").streamed().await;
    assert!(reply.broken && !reply.text().contains("[DONE]"), "{}", reply.text());
    world.is_at_rest().await;
}

/// Over HTTP/2 a broken stream is reset, and what came before is not lost.
#[tokio::test(start_paused = true)]
async fn over_http2_a_cut_stream_ends_honestly_too() {
    for answer in
        [Answer::begins().event(says("Hel")).closes(), Answer::begins().event(says("Hel")).waits(secs(1)).closes()]
    {
        let world = one();
        world.provider("primary").answers(answer);
        let reply = world.client().over_http2().asks("m").streamed().await;
        assert_eq!(reply.says(), "Hel");
        reply.breaks_off("closed the stream before finishing");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_without_a_single_word_is_no_answer() {
    for nothing in [Answer::begins().ends(), Answer::begins().event(": hi\n\n").ends(), Answer::begins().closes()] {
        let world = two().stands();
        world.provider("primary").answers(nothing);
        world.provider("spare").answers(Answer::stream(["hello"]));
        world.client().asks("fast").streamed().await.is_served("hello");
    }
}

#[tokio::test(start_paused = true)]
async fn the_exchanges_deadline_ends_with_the_commit() {
    let world = World::of(["primary"]).set("attempts", "deadline = \"30s\"").stands();
    let answer = (0..10).fold(Answer::begins(), |answer, _| answer.event(says("a")).waits(secs(20)));
    world.provider("primary").answers(answer.event(Answer::FINISH).event(Answer::DONE).ends());
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("aaaaaaaaaa");
    assert_eq!(reply.took, secs(200));
}

#[tokio::test(start_paused = true)]
async fn responses_break_off_with_their_own_error_event() {
    let world = World::of(["primary"]).provider("primary", "kind", "\"openai\"").stands();
    let delta =
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"hi\"}\n\n";
    world.provider("primary").answers(Answer::begins().event(delta).closes());
    let reply = world.client().posts("/v1/responses", "{\"model\":\"m\",\"input\":\"hi\",\"stream\":true}").await;
    reply.breaks_off("closed the stream before finishing");
    assert!(reply.text().starts_with(&format!("{delta}event: error\ndata: {{\"type\":\"error\"")), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn two_choices_finish_each_for_itself() {
    let chunk = |index: u32, text: &str, finish: &str| {
        format!(
            "data: {{\"choices\":[{{\"index\":{index},\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let all = [
        chunk(0, "a", "null"),
        chunk(0, "", "\"stop\""),
        chunk(1, "b", "null"),
        chunk(1, "", "\"length\""),
        Answer::DONE.to_string(),
    ];
    let events: Vec<&str> = all.iter().map(String::as_str).collect();
    check(&events, |reply| assert_eq!((reply.text(), reply.broken), (all.concat(), false))).await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_llama_cpps_ends_well_though_its_connection_closes() {
    let world = one();
    let text = [Answer::ROLE, &says("hi"), Answer::FINISH, Answer::DONE].concat();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    world.provider("primary").answers(Answer::raw(format!("{head}{text}")).closes());
    let reply = world.client().asks("m").streamed().await;
    reply.is_served("hi");
    assert_eq!(world.record().outcome, Outcome::Served);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_behind_the_last_event_breaks_nothing() {
    let answer = Answer::begins().event(says("hi")).event(Answer::FINISH).event(Answer::USAGE).event(Answer::DONE);
    for answer in [answer.clone().closes(), answer.clone().waits(secs(1)).resets(), answer.hangs()] {
        let world = one();
        world.provider("primary").answers(answer);
        let reply = world.client().asks("m").streamed().await;
        assert!(reply.text().ends_with(Answer::DONE) && !reply.broken, "{}", reply.text());
        assert!(reply.took <= secs(15), "{:?}", reply.took);
        assert_eq!((world.record().outcome, world.record().usage.output), (Outcome::Served, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_behind_the_providers_own_error_adds_none_of_ours() {
    let world = one();
    let error = "data: {\"error\":{\"message\":\"overloaded\",\"code\":\"overloaded\"}}\n\n";
    world.provider("primary").answers(Answer::begins().event(says("Hel")).event(error).closes());
    let reply = world.client().asks("m").streamed().await;
    reply.breaks_off("overloaded");
    assert_eq!(reply.text().matches("\"error\"").count(), 1, "{}", reply.text());
    assert_eq!(world.record().outcome, Outcome::Failed);
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_never_says_done_is_understood() {
    let said = says("hi");
    let all = [Answer::ROLE, &said, Answer::FINISH];
    check(&all, |reply| assert_eq!((reply.text(), reply.broken), (all.concat(), false))).await;
    let world = one();
    world.provider("primary").answers(all.iter().fold(Answer::begins(), Answer::event).closes());
    world.client().asks("m").streamed().await.breaks_off("closed the stream before finishing");
}

#[tokio::test(start_paused = true)]
async fn usage_is_not_asked_of_those_who_take_it_amiss() {
    let world = two().provider("spare", "kind", "\"mistral\"").stands();
    world.provider("primary").answers(Answer::error(500, "down"));
    world.provider("spare").answers(Answer::stream(["hello"]));
    world.client().asks("fast").streamed().await.is_served("hello");
    assert!(world.provider("primary").last().text().contains("stream_options"));
    assert!(!world.provider("spare").last().text().contains("stream_options"));
}
