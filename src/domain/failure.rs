//! How an attempt went wrong, and the one table that says what follows from it.

use std::time::Duration;

/// Ours to handle: the attempt loop hears it, the client only if nothing else is left.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the provider could not be reached: {0}")]
    Unreachable(String),
    #[error("the provider did not accept a connection in time")]
    ConnectTimedOut,
    #[error("the address may not be called: {0}")]
    AddressDenied(String),
    #[error("the provider closed the connection before it answered")]
    Reset,
    #[error("the provider's answer is not HTTP: {0}")]
    Garbage(String),
    #[error("the provider did not answer in time")]
    TimedOut,
    /// The client's own time-out cut the wait short: nobody's fault.
    #[error("the time that the client allowed ran out")]
    ClientTimedOut,
    #[error("the provider answered {0}")]
    Overloaded(u16),
    #[error("the provider limits the rate")]
    RateLimited { retry_after: Option<Duration> },
    #[error("the provider refused the credential")]
    CredentialRefused { status: u16 },
    #[error("the credential's quota is used up")]
    QuotaExhausted { status: u16 },
    #[error("the provider does not know the model")]
    ModelUnknown,
    #[error("the call is too long for the model")]
    ContextTooLong,
    #[error("the provider sent an error under a status of success")]
    ErrorUnderSuccess,
    #[error("the provider's answer broke off before its first content")]
    BrokeOff,
    #[error("the provider's answer is larger than {limit_bytes} bytes")]
    AnswerTooLarge { limit_bytes: usize },
    /// It answered, and nobody here is free to put that into the client's protocol.
    #[error("no thread is free to translate the answer")]
    Untranslated,
    /// All of the provider's or the credential's parallel calls are taken.
    #[error("all parallel calls are taken")]
    Busy,
    /// The credential can't be used: it does not open, or its address changed.
    #[error("the credential can't be used: {0}")]
    CredentialUnusable(&'static str),
    /// The provider would say the same anywhere: the client must hear it.
    #[error("the provider refused the call with {0}")]
    CallRejected(u16),
    /// The client's upload broke off while it was sent on.
    #[error("the client's body broke off")]
    UploadBroken,
    /// The provider speaks another protocol, in which this can't be said.
    #[error("`{0}` can't be said in its protocol")]
    Unsayable(String),
    /// What the client sent can't be read, so it can't be said in other words.
    #[error("`{field}` is not valid: {why}")]
    Unreadable { field: &'static str, why: &'static str },
    /// Our own doing. Counts against nobody.
    #[error("an error of our own: {0}")]
    Internal(&'static str),
}

/// What the attempt loop does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    OtherTarget,
    /// Another target, but none with the same credential.
    OtherCredential,
    /// Only a target with a longer context can do better.
    LongerContext,
    Stop,
}

/// Which breaker hears of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Nobody,
    Address,
    AddressAndModel,
    Credential,
    CredentialAndModel,
}

impl Failure {
    /// The whole failover policy.
    pub const fn next(&self) -> Next {
        match self {
            Self::Unreachable(_)
            | Self::ConnectTimedOut
            | Self::AddressDenied(_)
            | Self::Reset
            | Self::Garbage(_)
            | Self::TimedOut
            | Self::Overloaded(_)
            | Self::RateLimited { .. }
            | Self::ModelUnknown
            | Self::ErrorUnderSuccess
            | Self::BrokeOff
            | Self::AnswerTooLarge { .. }
            | Self::Busy
            // One that speaks the call's own protocol may understand it.
            | Self::Unsayable(_)
            | Self::Unreadable { .. } => Next::OtherTarget,
            Self::CredentialRefused { .. } | Self::QuotaExhausted { .. } | Self::CredentialUnusable(_) => {
                Next::OtherCredential
            }
            Self::ContextTooLong => Next::LongerContext,
            // Another answer would cost as much and find no more room.
            Self::Untranslated
            | Self::CallRejected(_)
            | Self::ClientTimedOut
            | Self::UploadBroken
            | Self::Internal(_) => Next::Stop,
        }
    }

    /// Did a request go out? What none went out for is no attempt, and another target may still have its turn.
    pub const fn went_out(&self) -> bool {
        !matches!(
            self,
            Self::Busy
                | Self::AddressDenied(_)
                | Self::CredentialUnusable(_)
                | Self::Unsayable(_)
                | Self::Unreadable { .. }
        )
    }

    /// The whole of what counts against whom.
    pub const fn blame(&self) -> Blame {
        match self {
            Self::Unreachable(_) | Self::ConnectTimedOut => Blame::Address,
            Self::Reset
            | Self::Garbage(_)
            | Self::TimedOut
            | Self::Overloaded(_)
            | Self::ErrorUnderSuccess
            | Self::BrokeOff
            | Self::AnswerTooLarge { .. } => Blame::AddressAndModel,
            Self::CredentialRefused { .. } | Self::QuotaExhausted { .. } => Blame::Credential,
            Self::RateLimited { .. } => Blame::CredentialAndModel,
            Self::AddressDenied(_)
            | Self::ClientTimedOut
            | Self::ModelUnknown
            | Self::ContextTooLong
            | Self::Untranslated
            | Self::Busy
            | Self::CredentialUnusable(_)
            | Self::CallRejected(_)
            | Self::UploadBroken
            | Self::Unsayable(_)
            | Self::Unreadable { .. }
            | Self::Internal(_) => Blame::Nobody,
        }
    }

    /// The name in metrics, log and trail: one of a bounded set.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::ConnectTimedOut => "connect_timeout",
            Self::AddressDenied(_) => "address_denied",
            Self::Reset => "reset",
            Self::Garbage(_) => "garbage",
            Self::TimedOut => "timeout",
            Self::ClientTimedOut => "client_timeout",
            Self::Overloaded(_) => "overloaded",
            Self::RateLimited { .. } => "rate_limited",
            Self::CredentialRefused { .. } => "credential_refused",
            Self::QuotaExhausted { .. } => "quota_exhausted",
            Self::ModelUnknown => "model_unknown",
            Self::ContextTooLong => "context_too_long",
            Self::ErrorUnderSuccess => "error_under_success",
            Self::BrokeOff => "broke_off",
            Self::AnswerTooLarge { .. } => "answer_too_large",
            Self::Untranslated => "untranslated",
            Self::Busy => "busy",
            Self::CredentialUnusable(_) => "credential_unusable",
            Self::CallRejected(_) => "call_rejected",
            Self::UploadBroken => "upload_broken",
            Self::Unsayable(_) => "unsayable",
            Self::Unreadable { .. } => "unreadable",
            Self::Internal(_) => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_nobody_is_free_to_translate_was_asked_for_and_is_not_paid_for_again() {
        let (untranslated, busy) = (Failure::Untranslated, Failure::Busy);
        assert_eq!((untranslated.went_out(), untranslated.next()), (true, Next::Stop));
        assert_eq!((busy.went_out(), busy.next()), (false, Next::OtherTarget));
        assert_eq!((untranslated.blame(), busy.blame()), (Blame::Nobody, Blame::Nobody));
    }
}
