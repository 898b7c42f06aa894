//! Where a campaign may kill the process, and which known bugs it may switch on to see whether it finds them.
//!
//! ```text
//! SABOTAGE_KILL_AT=settle.entries_after:3   the third time this point is reached, the process is gone (debug builds)
//! SABOTAGE_BUG=cursor-before-confirm        the program has this bug (builds with the feature `bugs`)
//! ```
//!
//! Promises: in a build without debug assertions a [`Point`] costs nothing and leaves nothing, not even its name; without
//! the feature a [`Bug`] is the constant `false`. Which points and bugs there are stands here alone, so that a campaign
//! can demand that each was reached, and each found. Why it is done so: `docs/adr/`, "name fail points".
//! Leaves to others: what a kill at a point must not harm (`docs/correctness.md`).

#[cfg(all(feature = "bugs", not(debug_assertions)))]
compile_error!("the feature `bugs` builds known bugs in; a release must not have it");

mod bug;
mod point;

pub use bug::{BUG_VARIABLE, Bug, is_active, seen_before};
pub use point::{KILL_VARIABLE, POINTS_COMPILED_IN, Point, in_flight, reached};

/// An enum of named cases, each with what it means, and the list of all of them.
macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $($(#[$case_doc:meta])* $case:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $kind {
            $($(#[$case_doc])* $case,)+
        }

        impl $kind {
            /// All of them, in the order of the flow.
            pub const ALL: &[Self] = &[$(Self::$case),+];

            /// The name that a variable and a page know it by.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$case => $name,)+
                }
            }

            /// The one of this name.
            pub fn named(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|case| case.name() == name)
            }
        }
    };
}
pub(crate) use named;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_of_one_case_and_finds_it() {
        for &point in Point::ALL {
            assert_eq!(Point::named(point.name()), Some(point));
        }
        for &bug in Bug::ALL {
            assert_eq!(Bug::named(bug.name()), Some(bug));
        }
        assert_eq!((Point::named("journal"), Bug::named("")), (None, None));
    }
}
