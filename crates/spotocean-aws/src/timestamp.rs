//! AWS's times as jiff's.

use aws_smithy_types::DateTime;
use jiff::Timestamp;

/// The same instant; `None` outside the years that jiff knows.
pub(crate) fn read(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
