//! Vectors that mean a little: texts that share words and parts of words are near each other.
//!
//! Every word, and every three letters in a row of it, is hashed to a place and a sign in the vector, and counts there (feature
//! hashing, Weinberger et al. 2009). An image's vector is made in the same way of the pieces of its bytes. The same input has the
//! same vector on every machine.

use serde_json::Value;

/// The vector of a text, not scaled.
pub(super) fn of_text(text: &str, dimensions: u64) -> Vec<f64> {
    let mut vector = empty(dimensions);
    for word in text
        .to_lowercase()
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
    {
        // What most sentences have says little.
        let weight = if word.len() < 4 { 0.3 } else { 1.0 };
        add(&mut vector, word.as_bytes(), weight);
        let framed: Vec<char> = format!("^{word}$").chars().collect();
        for three in framed.windows(3) {
            let three: String = three.iter().collect();
            add(&mut vector, three.as_bytes(), weight * 0.4);
        }
    }
    // Whatever it is, it has a direction.
    add(&mut vector, text.as_bytes(), 0.05);
    vector
}

/// The vector of an image, not scaled.
pub(super) fn of_bytes(bytes: &[u8], dimensions: u64) -> Vec<f64> {
    let mut vector = empty(dimensions);
    for piece in bytes.chunks(16) {
        add(&mut vector, piece, 1.0);
    }
    vector
}

/// The mean of two vectors, each scaled to the length of 1.
pub(super) fn mean(a: &[f64], b: &[f64]) -> Vec<f64> {
    let (a, b) = (unit(a), unit(b));
    a.iter().zip(b).map(|(a, b)| (a + b) / 2.0).collect()
}

/// A vector scaled to the length of 1.
pub(super) fn unit(vector: &[f64]) -> Vec<f64> {
    let norm = vector.iter().map(|value| value * value).sum::<f64>().sqrt();
    let norm = if norm > 0.0 { norm } else { 1.0 };
    vector.iter().map(|value| value / norm).collect()
}

/// How near two texts are, from 0 to 1.
pub(super) fn likeness(a: &str, b: &str) -> f64 {
    let (a, b) = (unit(&of_text(a, 1024)), unit(&of_text(b, 1024)));
    a.iter()
        .zip(b)
        .map(|(a, b)| a * b)
        .sum::<f64>()
        .clamp(0.0, 1.0)
}

/// As a reply has it, in the elements of a type.
pub(super) fn shown(vector: &[f64], element: &str) -> Value {
    match element {
        "int8" => vector.iter().map(|value| scaled(*value)).collect(),
        "uint8" => vector.iter().map(|value| scaled(*value) + 128).collect(),
        "binary" => packed(vector).map(|byte| i64::from(byte) - 128).collect(),
        "ubinary" => packed(vector).collect(),
        // The digits of an f32, which is what models compute in.
        _ => vector.iter().map(|value| digits(*value)).collect(),
    }
}

fn digits(value: f64) -> Value {
    #[expect(clippy::cast_possible_truncation, reason = "that is what is wanted")]
    let single = value as f32;
    single.to_string().parse::<f64>().unwrap_or_default().into()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "it is between -127 and 127"
)]
fn scaled(value: f64) -> i64 {
    (value * 127.0).round().clamp(-127.0, 127.0) as i64
}

fn packed(vector: &[f64]) -> impl Iterator<Item = u8> {
    vector.chunks(8).map(|eight| {
        eight
            .iter()
            .fold(0, |byte, value| (byte << 1) | u8::from(*value > 0.0))
    })
}

fn empty(dimensions: u64) -> Vec<f64> {
    vec![0.0; usize::try_from(dimensions).unwrap_or(0)]
}

fn add(vector: &mut [f64], feature: &[u8], weight: f64) {
    let hash = fnv(feature);
    let place = usize::try_from(hash >> 1).unwrap_or(usize::MAX) % vector.len().max(1);
    let sign = if hash & 1 == 0 { 1.0 } else { -1.0 };
    if let Some(value) = vector.get_mut(place) {
        *value += sign * weight;
    }
}

/// FNV-1a: the same on every machine. Its last bits are folded in, because a sign hangs on one of them.
pub(super) fn fnv(bytes: &[u8]) -> u64 {
    let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash ^ (hash >> 29)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alike_texts_are_nearer_than_others() {
        let near = likeness(
            "How to set up monitoring alerts",
            "set up alerts for monitoring",
        );
        let kin = likeness(
            "Configure Kubernetes probes",
            "Kubernetes probe configuration",
        );
        let far = likeness(
            "How to set up monitoring alerts",
            "Best Italian restaurants nearby",
        );
        assert!(near > 0.6 && kin > 0.4 && far < 0.2, "{near} {kin} {far}");
    }
}
