//! Identification of faces: templates, scores, the rule of names, its rates, and the reasons.

pub mod cohort;
pub mod expected;
pub(super) mod explain;
pub mod looks;
pub mod matcher;
pub mod rates;
pub mod rule;
pub mod strangers;
pub(super) mod template;
