//! The strangers of this camera (`recognition.remember_strangers_h`): one descriptor of each person who was followed
//! and had no name. They count as members of the cohort, so that scores are right for the people who pass this camera,
//! whatever group they belong to. Each has a number, by which they are recognised when they return. The descriptors are
//! kept in memory only, for the configured hours.

use crate::recognition::descriptor::{Descriptor, euclidean};
use crate::recognition::identify::looks::Looks;
use crate::recognition::identify::matcher::Matcher;
use crate::recognition::identify::rates::Rates;
use std::time::{Duration, Instant};

/// The most people who are remembered. The person who was seen longest ago is replaced.
const MOST: usize = 300;
/// The fewest people who represent a group.
const LEAST: usize = 30;
/// A person who would get a name with this multiple of the budget may be a person of the gallery who was seen badly.
/// They are not remembered, because their descriptor would count against their name at the next look.
pub const TIMES_BUDGET: f32 = 5.0;

/// Two looks at a smaller distance are of one person. Scores cannot tell for a group that the cohort lacks, where the
/// score of one pair of people in three is within the limit (docs/ACCURACY.md). Of pairs of adults of one group at most
/// 0.05 % are nearer, of East Asian children 2 % (groups-dev).
const SAME_PERSON: f32 = 0.35;

/// A person who was followed and has not had a name.
#[derive(Debug, Clone)]
pub struct Unnamed {
    /// The number of their track.
    pub track: u64,
    /// The descriptor of the best look.
    pub best: Descriptor,
    /// When the detector last found the person.
    pub seen_at: Instant,
    /// The last looks.
    pub looks: Looks,
}

impl Unnamed {
    /// A person with these looks.
    pub fn of_looks(best: Descriptor, others: &[Descriptor], seen_at: Instant) -> Unnamed {
        let mut looks = Looks::default();
        others.iter().chain([&best]).for_each(|look| looks.add(*look, 1.0));
        Unnamed { track: 0, best, seen_at, looks }
    }

    /// The mean of the last looks.
    pub fn mean(&self) -> Descriptor {
        self.looks.mean().unwrap_or(self.best)
    }

    /// The variance share of that mean: 1 divided by the number of independent looks to which it is equivalent.
    pub fn variance(&self, rates: &Rates) -> f32 {
        1.0 / self.looks.effective(&self.mean(), rates)
    }
}

/// A remembered person.
#[derive(Debug)]
struct Stranger {
    descriptor: Descriptor,
    seen_at: Instant,
    number: u64,
}

/// A followed person without a name. `number` is `None` when they may be in the gallery.
#[derive(Debug)]
struct Followed {
    track: u64,
    best: Descriptor,
    number: Option<u64>,
}

/// The remembered people, and the numbers of the followed ones.
#[derive(Debug, Default)]
pub struct Strangers {
    /// In the order in which they were last seen.
    remembered: Vec<Stranger>,
    is_changed: bool,
    followed: Vec<Followed>,
    /// The newest number that was used.
    last: u64,
}

impl Strangers {
    /// The number of remembered people.
    pub fn count(&self) -> usize {
        self.remembered.len()
    }

    /// The number of a followed person: that of the remembered person whom their best look shows, or else a new one.
    /// `None` when they may be in the gallery. Two people who are followed at the same time never have the same number.
    pub fn number(&mut self, matcher: &Matcher, unnamed: &Unnamed) -> Option<u64> {
        let known = self.followed.iter().position(|followed| followed.track == unnamed.track);
        let before = known.map(|known| &self.followed[known]);
        if let Some(before) = before.filter(|before| before.best == unnamed.best) {
            return before.number;
        }
        let own = before.and_then(|before| before.number);
        self.followed.retain(|followed| followed.track != unnamed.track);
        let number = is_a_stranger(matcher, unnamed).then(|| {
            let is_free = |number: &u64| self.followed.iter().all(|other| other.number != Some(*number));
            let remembered = self.find(matcher, &unnamed.best).map(|at| self.remembered[at].number).filter(is_free);
            remembered.or(own).unwrap_or_else(|| self.next_number())
        });
        self.followed.push(Followed { track: unnamed.track, best: unnamed.best, number });
        number
    }

    /// Forgets the numbers of tracks that are no longer followed.
    pub fn keep_followed(&mut self, is_followed: impl Fn(u64) -> bool) {
        self.followed.retain(|followed| is_followed(followed.track));
    }

    /// The remembered person whom a look shows.
    fn find(&self, matcher: &Matcher, look: &Descriptor) -> Option<usize> {
        let nearest = SAME_PERSON * matcher.rule().rates.scale();
        let distances = self.remembered.iter().map(|known| euclidean(&known.descriptor, look)).enumerate();
        let found = distances.filter(|(_, distance)| *distance <= nearest).min_by(|(_, a), (_, b)| a.total_cmp(b));
        found.map(|(at, _)| at)
    }

    fn next_number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Remembers a person whose track has ended without a name, unless they may be in the gallery of `matcher`. For a
    /// person who is remembered already, only the time changes.
    pub fn remember(&mut self, matcher: &Matcher, unnamed: &Unnamed) {
        if !is_a_stranger(matcher, unnamed) {
            return;
        }
        let (descriptor, number) = match self.find(matcher, &unnamed.best) {
            Some(known) => {
                let Stranger { descriptor, number, .. } = self.remembered.remove(known);
                (descriptor, number)
            }
            None => {
                self.is_changed |= self.remembered.len() + 1 >= LEAST;
                let followed = self.followed.iter().find(|followed| followed.track == unnamed.track);
                let own = followed.and_then(|followed| followed.number);
                (unnamed.best, own.unwrap_or_else(|| self.next_number()))
            }
        };
        if self.remembered.len() == MOST {
            self.remembered.remove(0);
        }
        let at = self.remembered.partition_point(|earlier| earlier.seen_at <= unnamed.seen_at);
        self.remembered.insert(at, Stranger { descriptor, seen_at: unnamed.seen_at, number });
    }

    /// Forgets the people who were last seen `hours` or more before `now`.
    pub fn forget_old(&mut self, hours: u32, now: Instant) {
        let longest = Duration::from_secs(u64::from(hours) * 3600);
        self.retain(|stranger| now.saturating_duration_since(stranger.seen_at) < longest);
    }

    /// Forgets the people who are, or may be, in the gallery of `matcher`.
    pub fn forget_known(&mut self, matcher: &Matcher) {
        let members: Vec<Descriptor> = self.members().copied().collect();
        let mut near = matcher.are_near_anybody(&members, TIMES_BUDGET).into_iter();
        self.retain(|stranger| {
            let is_near = near.next();
            !is_near.unwrap_or_else(|| matcher.is_near_anybody(&stranger.descriptor, 1.0, TIMES_BUDGET))
        });
    }

    /// Forgets everybody.
    pub fn forget_all(&mut self) {
        self.followed.clear();
        self.retain(|_| false);
    }

    fn retain(&mut self, is_kept: impl FnMut(&Stranger) -> bool) {
        let before = self.remembered.len();
        self.remembered.retain(is_kept);
        self.is_changed |= self.remembered.len() != before && before >= LEAST;
    }

    /// True when the members have changed since the last [`Strangers::take_change`].
    pub fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// The value of [`Strangers::is_changed`], which becomes false.
    pub fn take_change(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
    }

    /// The people who count as members of the cohort: all, or nobody while fewer than `LEAST` are remembered.
    pub fn members(&self) -> impl Iterator<Item = &Descriptor> {
        let enough = self.remembered.len() >= LEAST;
        self.remembered.iter().filter(move |_| enough).map(|stranger| &stranger.descriptor)
    }
}

/// True for a person who is certainly not in the gallery.
fn is_a_stranger(matcher: &Matcher, unnamed: &Unnamed) -> bool {
    matcher.rule().budget > 0.0
        && unnamed.best.iter().all(|value| value.is_finite())
        && !matcher.is_near_anybody(&unnamed.best, 1.0, TIMES_BUDGET)
        && !matcher.is_near_anybody(&unnamed.mean(), unnamed.variance(&matcher.rule().rates), TIMES_BUDGET)
}

#[cfg(test)]
pub(in crate::recognition) mod tests {
    use super::*;
    use crate::config::{Config, Metric, Recognition};
    use crate::recognition::descriptor::mean;
    use crate::recognition::identify::cohort::Cohort;
    use crate::recognition::identify::cohort::tests::center;
    use std::sync::Arc;

    /// A group of people that the cohort lacks: they are as far from each other as a group in the cohort, and in
    /// another place.
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
    fn a_person_who_may_be_in_the_gallery_is_not_remembered_and_one_who_is_added_is_forgotten() {
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
    fn an_unchanged_gallery_forgets_no_stranger_and_a_person_who_is_added_to_it_is_forgotten() {
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
    fn a_stranger_has_one_number_and_two_at_the_same_time_have_different_ones() {
        let cohort = Cohort::built_in();
        let (people, now, mut strangers) = (cohort.members(Metric::Euclidean), Instant::now(), Strangers::default());
        let matcher = gallery(&people[700..701]);
        let track = |track, best| Unnamed { track, ..Unnamed::of_looks(best, &[], now) };
        // Another look at a person, 0.2 away, and one that is too far to be of the same person.
        let moved =
            |person: usize, by: f32| std::array::from_fn(|at| people[person][at] + if at == 5 { by } else { 0.0 });
        assert_eq!(strangers.number(&matcher, &track(1, people[0])), Some(1));
        assert_eq!(strangers.number(&matcher, &track(2, people[1])), Some(2));
        assert_eq!(strangers.number(&matcher, &track(1, moved(0, 0.1))), Some(1), "a better look changes no number");
        strangers.remember(&matcher, &track(1, moved(0, 0.1)));
        // A track that the detector missed goes on beside that of the same person, until it ends.
        assert_eq!(strangers.number(&matcher, &track(3, people[0])), Some(3));
        strangers.keep_followed(|track| track == 2);
        assert_eq!(strangers.number(&matcher, &track(4, moved(0, 0.3))), Some(1), "they are back");
        assert_eq!(strangers.number(&matcher, &track(5, people[0])), Some(4), "and somebody is very like them");
        assert_eq!(strangers.number(&matcher, &track(6, moved(0, 0.9))), Some(5));
        assert_eq!(strangers.number(&matcher, &track(7, people[700])), None, "it may be the person of the gallery");
        strangers.remember(&matcher, &track(4, moved(0, 0.3)));
        assert_eq!(strangers.count(), 1);
        // A forgotten person counts as another one when they return, and no number is used again.
        strangers.forget_all();
        assert_eq!(strangers.number(&matcher, &track(8, people[0])), Some(6));
    }

    #[test]
    fn a_descriptor_that_is_not_finite_is_not_remembered() {
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
