//! Vectors that depend on nothing but the text: of the same length, and the same for the same text.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::request::{text, words};

/// Numbers in a vector unless the call asks for another count.
const DIMENSIONS: usize = 8;
const MOST_DIMENSIONS: usize = 4_096;
/// Texts that one call may embed, as with real providers.
const MOST_INPUTS: usize = 2_048;

pub(super) fn embeddings(model: &str, body: &Value) -> Value {
    let asked = body["dimensions"].as_u64().and_then(|count| usize::try_from(count).ok());
    let dimensions = asked.unwrap_or(DIMENSIONS).clamp(1, MOST_DIMENSIONS);
    let is_base64 = body["encoding_format"] == "base64";
    let inputs: Vec<String> = match &body["input"] {
        Value::Array(inputs) => inputs.iter().take(MOST_INPUTS).map(text).collect(),
        input => vec![text(input)],
    };
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, input)| {
            let vector = vector(input, dimensions);
            let written = if is_base64 { STANDARD.encode(bytes(&vector)).into() } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": written})
        })
        .collect();
    let count: usize = inputs.iter().map(|input| words(input)).sum();
    json!({"object": "list", "model": model, "data": data, "usage": {"prompt_tokens": count, "total_tokens": count}})
}

/// Of length 1, from the text's hashes.
fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let raw: Vec<f32> = (0..dimensions.div_ceil(32))
        .flat_map(|block| digest(&SHA256, format!("{block}:{text}").as_bytes()).as_ref().to_vec())
        .take(dimensions)
        .map(|byte| f32::from(byte) - 127.5)
        .collect();
    // No byte is 127.5, so no vector is of length nothing.
    let length = raw.iter().map(|number| number * number).sum::<f32>().sqrt();
    raw.into_iter().map(|number| number / length).collect()
}

fn bytes(vector: &[f32]) -> Vec<u8> {
    vector.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_gives_the_same_vector_of_length_one() {
        let one = vector("hello", 100);
        assert_eq!(one, vector("hello", 100));
        assert_ne!(one, vector("hallo", 100));
        assert!((one.iter().map(|number| number * number).sum::<f32>() - 1.0).abs() < 1e-4);
    }

    #[test]
    fn one_or_many_inputs_as_numbers_or_base64() {
        let body = json!({"input": ["a b", "c"], "encoding_format": "base64", "dimensions": 3});
        let answer = embeddings("practice-embed", &body);
        assert_eq!(answer["data"].as_array().unwrap().len(), 2);
        let coded = answer["data"][1]["embedding"].as_str().unwrap();
        assert_eq!(STANDARD.decode(coded).unwrap(), bytes(&vector("c", 3)));
        assert_eq!(answer["usage"]["total_tokens"], 3);
        let plain = embeddings("practice-embed", &json!({"input": "a"}));
        assert_eq!(plain["data"][0]["embedding"].as_array().unwrap().len(), DIMENSIONS);
    }
}
