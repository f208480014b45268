//! What a model's name asks for.

use std::time::Duration;

use http::StatusCode;

use super::HANG;
use super::script::Step;

/// Chunks that a name may ask for: some megabytes of events.
const MOST_CHUNKS: usize = 10_000;
/// The longest pause between chunks that a name may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// What was sent before a cut leaves the connection's buffer only once the body has to be waited for.
const UNTIL_FLUSHED: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Behaviour {
    Answers { says: Says, pace: Pace, ending: Ending },
    Fails(StatusCode),
    NoQuota,
    RejectsKey,
    Hangs,
    ErrorUnderSuccess,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Says {
    Words,
    Json,
    ToolCall,
    Chunks(usize),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pace {
    pub(super) before: Duration,
    pub(super) between: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Complete,
    Cut,
    Stall,
}

impl Ending {
    pub(super) fn steps(self) -> Vec<Step> {
        match self {
            Self::Complete => vec![],
            Self::Cut => vec![Step::Wait(UNTIL_FLUSHED), Step::Cut],
            Self::Stall => vec![Step::Wait(HANG), Step::Cut],
        }
    }
}

impl Behaviour {
    /// `None` for a model that does not exist.
    pub(super) fn of(model: &str) -> Option<Self> {
        let answers = |says, ending| Self::Answers { says, pace: Pace::default(), ending };
        Some(match model.strip_prefix("practice-")? {
            "small" | "embed" => answers(Says::Words, Ending::Complete),
            "json" => answers(Says::Json, Ending::Complete),
            "tools" => answers(Says::ToolCall, Ending::Complete),
            "cut" => answers(Says::Words, Ending::Cut),
            "stall" => answers(Says::Words, Ending::Stall),
            "slow" => {
                let pace = Pace { before: Duration::from_secs(2), between: Duration::from_millis(200) };
                Self::Answers { says: Says::Words, pace, ending: Ending::Complete }
            }
            "reject-key" => Self::RejectsKey,
            "no-quota" => Self::NoQuota,
            "hang" => Self::Hangs,
            "error-under-200" => Self::ErrorUnderSuccess,
            other => Self::of_numbers(other)?,
        })
    }

    fn of_numbers(name: &str) -> Option<Self> {
        if let Some(status) = name.strip_prefix("fail-") {
            let status = status.parse().ok().filter(|status| (400..600).contains(status))?;
            return StatusCode::from_u16(status).ok().map(Self::Fails);
        }
        let (count, pause) = name.strip_prefix("chunks-")?.split_once('-')?;
        let count = count.parse().ok().filter(|count| (1..=MOST_CHUNKS).contains(count))?;
        let between = Duration::from_millis(pause.strip_suffix("ms")?.parse().ok()?);
        let pace = Pace { before: Duration::ZERO, between };
        (between <= LONGEST_PAUSE).then_some(Self::Answers {
            says: Says::Chunks(count),
            pace,
            ending: Ending::Complete,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listed_model_has_a_behaviour() {
        for (model, _) in super::super::MODELS {
            assert!(Behaviour::of(model).is_some(), "{model}");
        }
    }

    #[test]
    fn numbers_in_a_name_are_bounded_and_nonsense_is_no_model() {
        assert_eq!(Behaviour::of("practice-fail-503"), Some(Behaviour::Fails(StatusCode::SERVICE_UNAVAILABLE)));
        let nonsense = [
            "gpt-4o",
            "practice-",
            "practice-fail-200",
            "practice-fail-600",
            "practice-fail-x",
            "practice-chunks-0-1ms",
            "practice-chunks-10001-1ms",
            "practice-chunks-1-60001ms",
            "practice-chunks-1-1",
            "practice-chunks-99999999999999999999-1ms",
        ];
        for model in nonsense {
            assert_eq!(Behaviour::of(model), None, "{model}");
        }
    }
}
