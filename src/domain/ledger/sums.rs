//! What many entries come to.

use super::Entry;
use crate::domain::usage::Basis;

/// Sums, each with the name of its column. Their order is that of the tables.
macro_rules! sums {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Sums {
            $($(#[$doc])* pub $name: i64,)*
        }

        impl Sums {
            /// The columns' names.
            pub const NAMES: [&'static str; [$(stringify!($name)),*].len()] = [$(stringify!($name)),*];

            pub const fn values(&self) -> [i64; Self::NAMES.len()] {
                [$(self.$name),*]
            }

            pub const fn of_values(values: [i64; Self::NAMES.len()]) -> Self {
                let [$($name),*] = values;
                Self { $($name),* }
            }
        }
    };
}

sums! {
    exchanges,
    served,
    attempts,
    input,
    cache_read,
    cache_write_5m,
    cache_write_1h,
    output,
    reasoning,
    audio_input,
    audio_output,
    cost,
    overhead,
    /// Exchanges by what their numbers rest on; the rest is `reported`.
    partial,
    estimated,
    unpriced,
    total_ms,
}

impl Sums {
    pub fn add(&mut self, other: &Self) {
        let (mut sums, more) = (self.values(), other.values());
        sums.iter_mut().zip(more).for_each(|(sum, more)| *sum = sum.saturating_add(more));
        *self = Self::of_values(sums);
    }
}

impl From<&Entry<'_>> for Sums {
    fn from(entry: &Entry<'_>) -> Self {
        let count = |is: bool| i64::from(is);
        let units = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
        let usage = &entry.usage;
        Self {
            exchanges: 1,
            served: count(entry.outcome == "served"),
            attempts: entry.attempts.iter().filter(|tried| tried.end != "skipped").count() as i64,
            input: units(usage.input),
            cache_read: units(usage.cache_read),
            cache_write_5m: units(usage.cache_write_5m),
            cache_write_1h: units(usage.cache_write_1h),
            output: units(usage.output),
            reasoning: units(usage.reasoning),
            audio_input: units(usage.audio_input),
            audio_output: units(usage.audio_output),
            cost: entry.cost.unwrap_or_default().0,
            overhead: entry.overhead_cost.0,
            partial: count(entry.basis == Basis::Partial),
            estimated: count(entry.basis == Basis::Estimated),
            unpriced: count(entry.basis == Basis::Unpriced),
            total_ms: units(entry.total_us / 1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_s_value_comes_back_in_its_place() {
        let mut values = [0; 17];
        (1..).zip(&mut values).for_each(|(number, value)| *value = number);
        let mut sums = Sums::of_values(values);
        assert_eq!((sums.values(), sums.cost, Sums::NAMES[11]), (values, 12, "cost"));
        sums.add(&Sums { cost: 5, ..Sums::default() });
        assert_eq!((sums.cost, sums.total_ms), (17, 17));
    }
}
