//! How much a model shall think, in the measures that protocols have for it.

use super::text::Quoted;

/// How much the model shall think, and what of it is shown.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Thinking<'a> {
    pub effort: Option<Effort>,
    /// In tokens, where the client thinks in these.
    pub budget: Option<u64>,
    /// Does the client want to see what was thought? `None` leaves it to the provider.
    pub is_shown: Option<bool>,
    /// How a summary is to be written: `auto`, `concise`, `detailed`.
    pub summary: Option<Quoted<'a>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effort {
    None,
    Minimal,
    Low,
    Medium,
    High,
    XHigh,
    Max,
}

impl Effort {
    pub const ALL: [Self; 7] = [Self::None, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    pub fn named(name: &Quoted<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|effort| name.is(effort.name()))
    }

    /// The budget in tokens for models that know no other measure.
    pub const fn budget(self) -> u64 {
        match self {
            Self::None => 0,
            Self::Minimal | Self::Low => 1_024,
            Self::Medium => 8_192,
            Self::High => 16_384,
            Self::XHigh => 24_576,
            Self::Max => 32_768,
        }
    }

    /// The least effort whose budget is not smaller.
    pub const fn of_budget(tokens: u64) -> Self {
        match tokens {
            0 => Self::None,
            1..=1_024 => Self::Low,
            1_025..=8_192 => Self::Medium,
            8_193..=16_384 => Self::High,
            16_385..=24_576 => Self::XHigh,
            _ => Self::Max,
        }
    }
}

impl Thinking<'_> {
    pub fn as_effort(&self) -> Option<Effort> {
        self.effort.or_else(|| self.budget.map(Effort::of_budget))
    }

    pub fn as_budget(&self) -> Option<u64> {
        self.budget.or_else(|| self.effort.map(Effort::budget))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effort_and_budget_say_the_same() {
        for effort in Effort::ALL.into_iter().filter(|effort| *effort != Effort::Minimal) {
            assert_eq!(Effort::of_budget(effort.budget()), effort);
            assert_eq!(Effort::named(&Quoted::plain(effort.name())), Some(effort));
        }
        assert_eq!(Thinking { budget: Some(2_000), ..Thinking::default() }.as_effort(), Some(Effort::Medium));
    }
}
