//! The strangers of this camera (`recognition.remember_strangers_h`): one descriptor of each person who was followed and had
//! no name. They count as members of the cohort, so that the score of a distance is right for the people who pass this camera,
//! whatever group they are of. Descriptors are kept in memory alone and for so many hours.

use crate::recognition::descriptor::{Descriptor, euclidean};
use crate::recognition::identify::looks::Looks;
use crate::recognition::identify::matcher::Matcher;
use crate::recognition::identify::rates::Rates;
use std::time::{Duration, Instant};

/// So many people are remembered; the one who was seen the longest ago makes room for the next.
const MOST: usize = 300;
/// Fewer say nothing about a group.
const LEAST: usize = 30;
/// Somebody who would have a name at so many times the budget is perhaps a person of the gallery who was seen badly. They are
/// not remembered: what is known of them as a stranger would speak against their name at the next look.
pub const TIMES_BUDGET: f32 = 5.0;

/// Two looks that are nearer to each other are of one person. A score does not tell in a group that the cohort lacks, where those of
/// one pair of people in three are within the limit (docs/ACCURACY.md). Of pairs of adults of one group at most 0.05 % are
/// nearer, of East Asian children 2 % (groups-dev).
const SAME_PERSON: f32 = 0.35;

/// A person who was followed and never had a name.
#[derive(Debug, Clone)]
pub struct Unnamed {
    /// The descriptor of the best look.
    pub best: Descriptor,
    /// When the detector saw them last.
    pub seen_at: Instant,
    /// The last looks.
    pub looks: Looks,
}

impl Unnamed {
    /// A person of whom these are the looks.
    pub fn of_looks(best: Descriptor, others: &[Descriptor], seen_at: Instant) -> Unnamed {
        let mut looks = Looks::default();
        others.iter().chain([&best]).for_each(|look| looks.add(*look, 1.0));
        Unnamed { best, seen_at, looks }
    }

    /// The mean of the last looks.
    pub fn mean(&self) -> Descriptor {
        self.looks.mean().unwrap_or(self.best)
    }

    /// The variance share of that mean: one over the number of independent looks that it is worth.
    pub fn variance(&self, rates: &Rates) -> f32 {
        1.0 / self.looks.effective(&self.mean(), rates)
    }
}

/// A person who is remembered.
#[derive(Debug)]
struct Stranger {
    descriptor: Descriptor,
    seen_at: Instant,
}

/// The people who are remembered.
#[derive(Debug, Default)]
pub struct Strangers {
    /// In the order in which they were seen.
    remembered: Vec<Stranger>,
    is_changed: bool,
}

impl Strangers {
    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.remembered.len()
    }

    /// Remembers a person whose track has ended without a name, unless they may be in the gallery of `matcher`. Of somebody who
    /// is remembered already, only the time changes.
    pub fn remember(&mut self, matcher: &Matcher, unnamed: &Unnamed) {
        if matcher.rule().budget <= 0.0 || !unnamed.best.iter().all(|value| value.is_finite()) {
            return;
        }
        let variance = unnamed.variance(&matcher.rule().rates);
        if matcher.is_near_anybody(&unnamed.best, 1.0, TIMES_BUDGET)
            || matcher.is_near_anybody(&unnamed.mean(), variance, TIMES_BUDGET)
        {
            return;
        }
        let nearest = SAME_PERSON * matcher.rule().rates.scale();
        let is_same = |known: &Stranger| euclidean(&known.descriptor, &unnamed.best) <= nearest;
        let descriptor = match self.remembered.iter().position(is_same) {
            Some(known) => self.remembered.remove(known).descriptor,
            None => {
                self.is_changed |= self.remembered.len() + 1 >= LEAST;
                unnamed.best
            }
        };
        if self.remembered.len() == MOST {
            self.remembered.remove(0);
        }
        let at = self.remembered.partition_point(|earlier| earlier.seen_at <= unnamed.seen_at);
        self.remembered.insert(at, Stranger { descriptor, seen_at: unnamed.seen_at });
    }

    /// Forgets those who were not seen for `hours` before `now`.
    pub fn forget_old(&mut self, hours: u32, now: Instant) {
        let longest = Duration::from_secs(u64::from(hours) * 3600);
        self.retain(|stranger| now.saturating_duration_since(stranger.seen_at) < longest);
    }

    /// Forgets those who are in the gallery of `matcher` now, or may be.
    pub fn forget_known(&mut self, matcher: &Matcher) {
        let members: Vec<Descriptor> = self.members().copied().collect();
        let mut near = matcher.are_near_anybody(&members, TIMES_BUDGET).into_iter();
        self.retain(|stranger| {
            let is_near = near.next();
            !is_near.unwrap_or_else(|| matcher.is_near_anybody(&stranger.descriptor, 1.0, TIMES_BUDGET))
        });
    }

    /// Forgets all.
    pub fn forget_all(&mut self) {
        self.retain(|_| false);
    }

    fn retain(&mut self, is_kept: impl FnMut(&Stranger) -> bool) {
        let before = self.remembered.len();
        self.remembered.retain(is_kept);
        self.is_changed |= self.remembered.len() != before && before >= LEAST;
    }

    /// True when the people who are remembered have become others since the last [`Strangers::take_change`].
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The same; after the call, that change is over.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// Those who count as members of the cohort: all, or while they are too few, nobody.
    pub fn members(&self) -> impl Iterator<Item = &Descriptor> {
        let enough = self.remembered.len() >= LEAST;
        self.remembered.iter().filter(move |_| enough).map(|stranger| &stranger.descriptor)
    }
}

#[cfg(test)]
pub(in crate::recognition) mod tests {
    use super::*;
    use crate::config::{Config, Metric, Recognition};
    use crate::recognition::descriptor::mean;
    use crate::recognition::identify::cohort::Cohort;
    use crate::recognition::identify::cohort::tests::center;
    use std::sync::Arc;

    /// A group of people that the cohort lacks: as far from each other as those of one that it has, and elsewhere.
    pub fn dense() -> Vec<Descriptor> {
        let cohort = Cohort::built_in();
        let some = &cohort.members(Metric::Euclidean)[..86];
        let (group, all) = (mean(some.iter().map(|member| (*member, 1.0))), center());
        some.iter().map(|member| std::array::from_fn(|at| member[at] + 1.5 * (group[at] - all[at]))).collect()
    }

    fn gallery(people: &[Descriptor]) -> Matcher {
        let config: Recognition = Config::defaults("/".as_ref()).recognition;
        let mut matcher = Matcher::new(&config, Some(Arc::default()));
        for (number, person) in people.iter().enumerate() {
            matcher.add(&number.to_string(), [("".into(), *person)]);
        }
        matcher
    }

    fn remember(strangers: &mut Strangers, matcher: &Matcher, people: &[Descriptor], at: Instant) {
        people.iter().for_each(|person| strangers.remember(matcher, &Unnamed::of_looks(*person, &[], at)));
    }

    #[test]
    fn strangers_who_look_alike_get_fewer_names_once_thirty_of_them_are_remembered() {
        let (people, now, mut strangers) = (dense(), Instant::now(), Strangers::default());
        let mut matcher = gallery(&people[..5]);
        let named = |matcher: &Matcher| {
            let find =
                |person: &&Descriptor| matcher.find(person, 1.0, 1.0).is_some_and(|found| found.name().is_some());
            people[60..].iter().filter(find).count()
        };
        let before = named(&matcher);
        remember(&mut strangers, &matcher, &people[5..60], now);
        assert!(strangers.count() >= LEAST && strangers.take_change(), "{}", strangers.count());
        matcher.set_strangers(strangers.members());
        assert!(before >= 4 && named(&matcher) <= 1, "{before} then {}", named(&matcher));
        // The people of the gallery still get their names.
        assert!(
            people[..5].iter().all(|person| matcher.find(person, 1.0, 1.0).is_some_and(|found| found.name().is_some()))
        );
    }

    #[test]
    fn a_person_is_remembered_once_for_the_hours_of_the_config_and_the_newest_300_are() {
        let cohort = Cohort::built_in();
        let (people, now, mut strangers) = (cohort.members(Metric::Euclidean), Instant::now(), Strangers::default());
        let matcher = gallery(&[people[1000]]);
        let hour = Duration::from_secs(3600);
        remember(&mut strangers, &matcher, &people[..1], now);
        remember(&mut strangers, &matcher, &people[200..229], now + hour);
        assert_eq!((strangers.count(), strangers.members().count(), strangers.take_change()), (30, 30, true));
        // Seen again two hours later.
        remember(&mut strangers, &matcher, &people[..1], now + 2 * hour);
        assert_eq!((strangers.count(), strangers.take_change()), (30, false));
        strangers.forget_old(2, now + 2 * hour);
        assert_eq!(strangers.count(), 30);
        strangers.forget_old(2, now + 3 * hour);
        assert_eq!((strangers.count(), strangers.members().count(), strangers.take_change()), (1, 0, true));
        remember(&mut strangers, &matcher, people, now + 3 * hour);
        assert_eq!(strangers.count(), MOST);
        let last = people.iter().rev().find(|person| !matcher.is_near_anybody(person, 1.0, TIMES_BUDGET)).unwrap();
        assert_eq!(strangers.remembered.last().map(|stranger| stranger.descriptor), Some(*last));
        assert!(strangers.remembered.iter().all(|stranger| stranger.descriptor != people[0]), "the oldest made room");
        strangers.forget_all();
        assert_eq!(strangers.count(), 0);
    }

    #[test]
    fn somebody_who_may_be_in_the_gallery_is_not_remembered_and_who_is_put_there_is_forgotten() {
        let cohort = Cohort::built_in();
        let (people, now, mut strangers) = (cohort.members(Metric::Euclidean), Instant::now(), Strangers::default());
        let alice = people[700];
        // A look at Alice that is between the picture and a stranger.
        let badly_seen = |part: f32| std::array::from_fn(|at| alice[at] + (people[3][at] - alice[at]) * part);
        let matcher = gallery(&[alice]);
        let is_named = |look: &Descriptor| matcher.find(look, 1.0, 1.0).is_some_and(|found| found.name().is_some());
        let refused = (1..100).map(|part| badly_seen(part as f32 / 100.0)).find(|look| !is_named(look)).unwrap();
        remember(&mut strangers, &matcher, &[alice, refused], now);
        assert_eq!(strangers.count(), 0);
        remember(&mut strangers, &matcher, &[people[3]], now);
        assert_eq!(strangers.count(), 1);
        strangers.forget_known(&gallery(&[alice, people[3]]));
        assert_eq!(strangers.count(), 0);
    }

    #[test]
    fn a_gallery_that_is_read_again_forgets_nobody_and_a_person_who_is_put_there_leaves() {
        let (people, now, mut strangers) = (dense(), Instant::now(), Strangers::default());
        let mut matcher = gallery(&people[..5]);
        for _ in 0..6 {
            remember(&mut strangers, &matcher, &people[5..], now);
            matcher.set_strangers(strangers.members());
        }
        let count = strangers.count();
        assert!(count > 40, "{count}");
        strangers.forget_known(&gallery(&people[..5]));
        assert_eq!(strangers.count(), count);
        let known = strangers.remembered[7].descriptor;
        let with_one_more = [&people[..5], &[known]].concat();
        strangers.forget_known(&gallery(&with_one_more));
        assert!(strangers.remembered.iter().all(|stranger| stranger.descriptor != known));
        assert!(strangers.count() > count * 3 / 4, "{} of {count}", strangers.count());
    }

    #[test]
    fn what_is_no_number_is_not_remembered() {
        let mut strangers = Strangers::default();
        let matcher = gallery(&dense()[..5]);
        remember(&mut strangers, &matcher, &[[f32::NAN; 128], [-f32::NAN; 128], [f32::INFINITY; 128]], Instant::now());
        assert_eq!(strangers.count(), 0);
    }

    #[test]
    fn without_a_budget_nobody_is_remembered() {
        let mut config: Recognition = Config::defaults("/".as_ref()).recognition;
        config.false_name_budget = 0.0;
        let mut strangers = Strangers::default();
        remember(&mut strangers, &Matcher::new(&config, Some(Arc::default())), &dense(), Instant::now());
        assert_eq!(strangers.count(), 0);
    }
}
