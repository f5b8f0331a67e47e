//! One line for each attack, for people and for `ci/attack.sh`.

/// What an attack found.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// How many cases were tried.
    pub cases: u64,
    /// Records whose call had returned and that were not there.
    pub lost: u64,
    /// Records that were there more than once.
    pub doubled: u64,
    /// Anything that was there and never written so.
    pub torn: u64,
    /// Cases that did not end in time.
    pub hangs: u64,
    /// Cases that ended by a panic or a signal that was not the attack's.
    pub crashes: u64,
    /// What else there is to say.
    pub note: String,
}

impl Outcome {
    /// Nothing went wrong.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.torn + self.hangs + self.crashes == 0
    }

    /// Adds another outcome's figures.
    pub const fn add(&mut self, other: &Self) {
        self.cases += other.cases;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.torn += other.torn;
        self.hangs += other.hangs;
        self.crashes += other.crashes;
    }

    /// Prints the line.
    pub fn print(&self, attack: &str) {
        println!(
            "ATTACK|{attack}|{}|{}|{}|{}|{}|{}|{}",
            self.cases, self.lost, self.doubled, self.torn, self.hangs, self.crashes, self.note
        );
    }
}

/// Says that an attack could not be carried out here, and why.
pub fn skipped(attack: &str, why: &str) {
    println!("ATTACK|{attack}|skipped||||||{why}");
}
