//! Limits as an API shows and takes them; of what they count, each is absent or a number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::error::DirectoryError;
use crate::domain::change::Change;
use crate::domain::limits::Limits;
use crate::domain::money::Nanodollars;

/// What a token, user, workspace, org or model may use; `null` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Limits, example = json!({
    "requestsPerMinute": 600, "inputTokensPerMinute": null, "outputTokensPerMinute": null,
    "parallel": 20, "moneyPerDay": "25", "moneyPerMonth": null,
    "runMoney": "5", "runMoneyPerMinute": null, "runCalls": 200, "runDepth": 3,
}))]
pub struct LimitsLine {
    #[schema(required)]
    pub requests_per_minute: Option<u32>,
    #[schema(required)]
    pub input_tokens_per_minute: Option<u64>,
    #[schema(required)]
    pub output_tokens_per_minute: Option<u64>,
    /// Calls in flight at once.
    #[schema(required)]
    pub parallel: Option<u32>,
    /// US dollars, as a decimal.
    #[schema(required, value_type = Option<String>)]
    pub money_per_day: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub money_per_month: Option<Nanodollars>,
    /// US dollars that one run may cost, with all below it.
    #[schema(required, value_type = Option<String>)]
    pub run_money: Option<Nanodollars>,
    #[schema(required, value_type = Option<String>)]
    pub run_money_per_minute: Option<Nanodollars>,
    /// Calls that one run may make, with all below it.
    #[schema(required)]
    pub run_calls: Option<u32>,
    /// Runs that may lie above a run.
    #[schema(required)]
    pub run_depth: Option<u32>,
}

/// What changes of them; `null` is unlimited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(example = json!({"requestsPerMinute": 600, "moneyPerDay": "25.00", "parallel": null}))]
pub struct LimitsChange {
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 4_294_967_295_u32)]
    pub requests_per_minute: Change<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_000_u64)]
    pub input_tokens_per_minute: Change<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u64>, maximum = 1_000_000_000_000_000_u64)]
    pub output_tokens_per_minute: Change<u64>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 4_294_967_295_u32)]
    pub parallel: Change<u32>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub money_per_day: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub money_per_month: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub run_money: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<String>, pattern = r"^[0-9]{1,9}(\.[0-9]{1,9})?$")]
    pub run_money_per_minute: Change<Nanodollars>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 4_294_967_295_u32)]
    pub run_calls: Change<u32>,
    #[serde(default)]
    #[schema(value_type = Option<u32>, maximum = 4_294_967_295_u32)]
    pub run_depth: Change<u32>,
}

impl From<&Limits> for LimitsLine {
    fn from(limits: &Limits) -> Self {
        Self {
            requests_per_minute: limits.requests_per_minute,
            input_tokens_per_minute: limits.input_tokens_per_minute,
            output_tokens_per_minute: limits.output_tokens_per_minute,
            parallel: limits.parallel,
            money_per_day: limits.money_per_day,
            money_per_month: limits.money_per_month,
            run_money: limits.run_money,
            run_money_per_minute: limits.run_money_per_minute,
            run_calls: limits.run_calls,
            run_depth: limits.run_depth,
        }
    }
}

impl LimitsChange {
    /// Those of something new.
    pub fn of_new(self) -> Result<Limits, DirectoryError> {
        let mut limits = Limits::default();
        Self::apply(Change::Set(self), &mut limits).map(|()| limits)
    }

    /// Clearing all of them is clearing each.
    pub(super) fn apply(change: Change<Self>, limits: &mut Limits) -> Result<(), DirectoryError> {
        let change = match change {
            Change::Keep => return Ok(()),
            Change::Clear => {
                *limits = Limits::default();
                return Ok(());
            }
            Change::Set(change) => change,
        };
        change.requests_per_minute.apply(&mut limits.requests_per_minute);
        change.input_tokens_per_minute.apply(&mut limits.input_tokens_per_minute);
        change.output_tokens_per_minute.apply(&mut limits.output_tokens_per_minute);
        change.parallel.apply(&mut limits.parallel);
        change.money_per_day.apply(&mut limits.money_per_day);
        change.money_per_month.apply(&mut limits.money_per_month);
        change.run_money.apply(&mut limits.run_money);
        change.run_money_per_minute.apply(&mut limits.run_money_per_minute);
        change.run_calls.apply(&mut limits.run_calls);
        change.run_depth.apply(&mut limits.run_depth);
        let money = [limits.money_per_day, limits.money_per_month, limits.run_money, limits.run_money_per_minute];
        match money.into_iter().flatten().any(|money| money.0 < 0) {
            true => Err(DirectoryError::invalid("a limit of money", "is negative", "write 0 or more").at("limits")),
            false => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_change_one_by_one_and_go_together() {
        let mut limits = Limits { parallel: Some(3), ..Limits::default() };
        let read = |text: &str| Change::Set(serde_json::from_str::<LimitsChange>(text).unwrap());
        LimitsChange::apply(read(r#"{"requestsPerMinute": 6, "moneyPerDay": "0.15"}"#), &mut limits).unwrap();
        assert_eq!((limits.requests_per_minute, limits.parallel), (Some(6), Some(3)));
        assert_eq!(serde_json::to_value(LimitsLine::from(&limits)).unwrap()["moneyPerDay"], "0.15");
        LimitsChange::apply(read(r#"{"parallel": null}"#), &mut limits).unwrap();
        assert_eq!((limits.requests_per_minute, limits.parallel), (Some(6), None));
        assert!(LimitsChange::apply(read(r#"{"moneyPerDay": "-1"}"#), &mut limits).is_err());
        LimitsChange::apply(Change::Clear, &mut limits).unwrap();
        assert_eq!(limits, Limits::default());
    }
}
