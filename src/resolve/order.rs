//! The order of a plan: by tier, and within one by a draw that the same seed repeats.

use super::Target;

/// Sorts targets. The draw gives each a place with the odds of its weight, without any state.
pub(super) fn order(targets: &mut [Target<'_>], seed: u64) {
    if targets.len() < 2 {
        return;
    }
    targets.sort_by(|a, b| a.tier.cmp(&b.tier).then_with(|| ticket(a, seed).total_cmp(&ticket(b, seed))));
}

/// The waiting time of an exponential clock whose rate is the weight: the earliest rings first, with odds by weight.
/// No money is computed here, so a float is at home.
fn ticket(target: &Target<'_>, seed: u64) -> f64 {
    let provider = target.provider.provider.id.uuid().as_u64_pair();
    let credential = target.credential.map_or((0, 0), |one| one.id().uuid().as_u64_pair());
    let mut drawn = seed;
    for part in [provider.0, provider.1, credential.0, credential.1] {
        drawn = mixed(drawn ^ part);
    }
    for byte in target.model_id.bytes() {
        drawn = mixed(drawn ^ u64::from(byte));
    }
    // 53 bits fill a float's mantissa; the half keeps the logarithm finite.
    let uniform = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -uniform.ln() / f64::from(target.weight.max(1))
}

/// The finaliser of SplitMix64: every bit of the input moves every bit of the output.
const fn mixed(value: u64) -> u64 {
    let mut bits = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
