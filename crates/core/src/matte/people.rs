//! Chooses the people who are shown: all, or only the nearest.
//!
//! The network does not tell people apart. Here a person is a blob of the map with the blobs above
//! and below it, and is recognised by their place one frame before. Where a shown person touches a
//! hidden one, a cut between columns separates them: it follows the place where the fewest cells
//! connect them.
use super::blobs::{Blobs, Rect};
use std::{fmt, ops::Range, str::FromStr};
use thiserror::Error;

/// The largest number of people that can be asked for.
const MOST: u8 = 9;
/// The most people that are told apart.
pub(super) const MAX_PERSONS: usize = 16;
/// A blob smaller than this share of the picture is not a person.
const SMALLEST: f32 = 0.0005;
/// A blob belongs to a larger one above or below it that covers this share of its columns.
const COVERED: f32 = 0.8;
/// .. unless it is at another person's place of the frame before: intersection over union of the
/// boxes.
const SAME: f32 = 0.5;
/// A person without a separate blob is in one that covers this share of their box ..
const HIDDEN_IN: f32 = 0.5;
/// .. or is behind it, with this margin around it, if their visible part was beside it ..
const BEHIND: f32 = 0.15;
/// .. and if they had at least this share of its size: a smaller one may be an arm.
const NO_ARM: f32 = 0.125;
/// A person behind another one counts as seen while this share of them is visible.
const STILL_SEEN: f32 = 0.33;
/// A person who was behind another one reappears up to this far away, in sizes of their box,
const COMES_OUT: f32 = 1.5;
/// and as large as before, within this factor.
const LIKE: f32 = 0.5;
/// The farthest that a cut moves in one frame, as a share of a person's width.
const CUT_MOVES: f32 = 0.08;
/// A person this many times as large as a shown one takes their place ..
const LARGER: f32 = 1.25;
/// .. after this many microseconds,
const LARGER_US: i64 = 1_000_000;
/// and with this factor ..
const MUCH_LARGER: f32 = 2.0;
/// .. after these.
const MUCH_LARGER_US: i64 = 120_000;
/// How long a shown person may be out of sight, in microseconds, before another one is shown.
const WAIT_SHOWN_US: i64 = 500_000;
/// How long a hidden person who walks behind another one is remembered, in microseconds.
const WAIT_US: i64 = 2_000_000;

/// The people who are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum People {
    /// All people.
    #[default]
    All,
    /// This many of the nearest, 1 to 9: the largest in the picture.
    Nearest(u8),
}

/// A text that is not a [`People`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown people {0:?}: use all, nearest or a number from 1 to {MOST}")]
pub struct PeopleError(String);

impl FromStr for People {
    type Err = PeopleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || PeopleError(text.to_owned());
        match text {
            "all" => Ok(People::All),
            "nearest" => Ok(People::Nearest(1)),
            count => match count.parse() {
                Ok(count @ 1..=MOST) => Ok(People::Nearest(count)),
                _ => Err(error()),
            },
        }
    }
}

impl fmt::Display for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            People::All => f.write_str("all"),
            People::Nearest(1) => f.write_str("nearest"),
            People::Nearest(count) => count.fmt(f),
        }
    }
}

/// A person who is told apart from others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TrackedPerson {
    /// The last box around them, in cells.
    pub(super) bounds: Rect,
    pub(super) is_shown: bool,
    /// The number of their cells when they last touched no other person.
    pub(super) alone: u32,
    /// When they were seen last, in unix microseconds.
    pub(super) seen: i64,
    /// The time since which this person, while hidden, is larger than a shown one.
    pub(super) larger_since: Option<i64>,
}

impl TrackedPerson {
    /// Notes their place in this frame.
    fn is_at(&mut self, bounds: Rect, time: i64) {
        (self.bounds, self.seen) = (bounds, time);
    }

    /// Whether a blob may be this person, who was hidden behind another one in the `latest` frame.
    fn may_come_out(&self, latest: i64, area: usize, bounds: &Rect) -> bool {
        let like = self.alone as f32 * LIKE..self.alone as f32 / LIKE;
        let around = self.bounds.with_surroundings(COMES_OUT);
        self.seen < latest && like.contains(&(area as f32)) && around.meets(bounds)
    }
}

/// Blobs of one frame that are one above the other.
struct BlobGroup {
    blobs: Vec<usize>,
    area: usize,
    bounds: Rect,
    /// Indices of the persons in it.
    persons: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// Of no person, or not known yet.
    None,
    Shown,
    Hidden,
}

/// Tells people apart, and removes those who are not shown from maps. Keeps its buffers.
#[derive(Debug, Default)]
pub(super) struct Chooser {
    people: People,
    /// The mark of each cell; empty if all people are shown.
    marks: Vec<Mark>,
    /// The distance of each cell from the nearest marked one.
    distances: Vec<u16>,
}

impl Chooser {
    pub(super) fn new(people: People) -> Chooser {
        Chooser {
            people,
            ..Chooser::default()
        }
    }

    /// Finds the people in the cells of `map[..][width]` that are `inside`, and matches them with
    /// `persons`.
    pub(super) fn follow<T: Copy>(
        &mut self,
        width: usize,
        map: &[T],
        inside: impl Fn(T) -> bool,
        persons: &mut Vec<TrackedPerson>,
        time: i64,
    ) {
        self.marks.clear();
        let People::Nearest(most) = self.people else {
            return persons.clear();
        };
        let width = width.max(1);
        let found = Blobs::find(map, width, inside);
        let smallest = (SMALLEST * map.len() as f32) as usize;
        let latest = persons.iter().map(|one| one.seen).max();
        let latest = latest.unwrap_or(i64::MIN);
        let mut groups = groups(&found, smallest, persons, latest);
        find_persons(&mut groups, persons, latest, time);
        let areas = part(&found, width, &groups, persons, time);
        choose(usize::from(most), persons, &areas, time);
        self.mark(&found, (width, map.len() / width), &groups, persons);
        persons.retain(|person| {
            let wait = match person.is_shown {
                true => WAIT_SHOWN_US,
                false => WAIT_US,
            };
            (0..wait).contains(&time.saturating_sub(person.seen))
        });
    }

    /// Removes the people who are not shown from a map of the last frame.
    pub(super) fn hide<T: Copy + Default>(&self, map: &mut [T]) {
        for (cell, mark) in map.iter_mut().zip(&self.marks) {
            if *mark == Mark::Hidden {
                *cell = T::default();
            }
        }
    }

    /// Marks every cell. Cells of no person get the mark of the nearest cell of one.
    fn mark(
        &mut self,
        found: &Blobs,
        grid: (usize, usize),
        groups: &[BlobGroup],
        persons: &[TrackedPerson],
    ) {
        let (width, height) = grid;
        if groups.iter().all(|group| group.is_shown(persons)) {
            return;
        }
        self.marks.resize(width * height, Mark::None);
        for group in groups {
            let shown = group.shown_columns(width, persons);
            for (y, x0, x1) in group.stretches(found) {
                let row = &mut self.marks[y * width..];
                row[x0..x1].fill(Mark::Hidden);
                for columns in &shown {
                    let (x0, x1) = (x0.max(columns.start), x1.min(columns.end));
                    row[x0..x1.max(x0)].fill(Mark::Shown);
                }
            }
        }
        self.spread(width, height);
    }

    /// Gives cells of no person the mark of the nearest cell of one.
    fn spread(&mut self, width: usize, height: usize) {
        let Chooser {
            marks, distances, ..
        } = self;
        distances.clear();
        distances.extend(marks.iter().map(|mark| match mark {
            Mark::None => u16::MAX,
            _ => 0,
        }));
        let mut take = |to: usize, from: usize| {
            let distance = distances[from].saturating_add(1);
            if distance < distances[to] {
                distances[to] = distance;
                marks[to] = marks[from];
            }
        };
        for y in 0..height {
            for x in 0..width {
                let i = y * width + x;
                if x > 0 {
                    take(i, i - 1);
                }
                if y > 0 {
                    take(i, i - width);
                }
            }
        }
        for y in (0..height).rev() {
            for x in (0..width).rev() {
                let i = y * width + x;
                if x + 1 < width {
                    take(i, i + 1);
                }
                if y + 1 < height {
                    take(i, i + width);
                }
            }
        }
    }
}

impl BlobGroup {
    /// Its cells, as stretches `(y, x0, x1)`.
    fn stretches<'a>(
        &'a self,
        found: &'a Blobs,
    ) -> impl Iterator<Item = (usize, usize, usize)> + 'a {
        self.blobs.iter().flat_map(|&blob| found.stretches(blob))
    }

    /// The number of its cells in some columns, and the box around them.
    fn within(&self, found: &Blobs, columns: &Range<usize>) -> Option<(usize, Rect)> {
        let mut area = 0;
        let mut bounds = None;
        for (y, x0, x1) in self.stretches(found) {
            let (x0, x1) = (x0.max(columns.start), x1.min(columns.end));
            if x0 < x1 {
                area += x1 - x0;
                let stretch = Rect {
                    x0: x0 as u32,
                    y0: y as u32,
                    x1: x1 as u32,
                    y1: y as u32 + 1,
                };
                bounds = Some(Rect::around(bounds, stretch));
            }
        }
        bounds.map(|bounds| (area, bounds))
    }

    /// Whether all people in it are shown.
    fn is_shown(&self, persons: &[TrackedPerson]) -> bool {
        !self.persons.is_empty() && self.persons.iter().all(|&one| persons[one].is_shown)
    }

    /// The columns of the shown people; all `width` columns if all people in it are shown.
    fn shown_columns(&self, width: usize, persons: &[TrackedPerson]) -> Vec<Range<usize>> {
        if self.is_shown(persons) {
            return std::iter::once(0..width).collect();
        }
        let shown = self.persons.iter().map(|&one| &persons[one]);
        let shown = shown.filter(|one| one.is_shown);
        shown
            .map(|one| one.bounds.x0 as usize..one.bounds.x1 as usize)
            .collect()
    }
}

/// Groups the blobs that belong together, the largest first.
fn groups(
    found: &Blobs,
    smallest: usize,
    persons: &[TrackedPerson],
    latest: i64,
) -> Vec<BlobGroup> {
    let mut blobs: Vec<usize> = (0..found.blobs.len()).collect();
    blobs.retain(|&blob| found.blobs[blob].area > smallest);
    blobs.sort_by_key(|&blob| std::cmp::Reverse(found.blobs[blob].area));
    let mut groups: Vec<BlobGroup> = Vec::new();
    for i in blobs {
        let blob = found.blobs[i];
        let mut hidden = persons.iter().filter(|person| !person.is_shown);
        let is_known = hidden.any(|person| {
            similarity(&person.bounds, &blob.bounds) > SAME
                || person.may_come_out(latest, blob.area, &blob.bounds)
        });
        let whole = groups.iter_mut().find(|group| {
            let from = blob.bounds.x0.max(group.bounds.x0);
            let covered = blob.bounds.x1.min(group.bounds.x1).saturating_sub(from);
            !is_known && covered as f32 >= COVERED * blob.bounds.width() as f32
        });
        if let Some(group) = whole {
            group.blobs.push(i);
            group.area += blob.area;
            group.bounds = group.bounds.union(&blob.bounds);
        } else if groups.len() < MAX_PERSONS {
            groups.push(BlobGroup {
                blobs: vec![i],
                area: blob.area,
                bounds: blob.bounds,
                persons: Vec::new(),
            });
        }
    }
    groups
}

/// Finds the persons of each group: the most similar one, others that are hidden in it, and new
/// ones.
fn find_persons(
    groups: &mut [BlobGroup],
    persons: &mut Vec<TrackedPerson>,
    latest: i64,
    time: i64,
) {
    let mut pairs = Vec::new();
    for (u, group) in groups.iter().enumerate() {
        for (p, person) in persons.iter().enumerate() {
            let alike = similarity(&group.bounds, &person.bounds);
            let comes_out = person.may_come_out(latest, group.area, &group.bounds);
            if alike > 0.0 || comes_out {
                pairs.push((alike, u, p));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut is_met = vec![false; persons.len()];
    for (_, u, p) in pairs {
        if groups[u].persons.is_empty() && !is_met[p] {
            groups[u].persons.push(p);
            is_met[p] = true;
        }
    }
    for (p, person) in persons.iter().enumerate().filter(|(p, _)| !is_met[*p]) {
        let area = person.bounds.area() as f32;
        let around = groups.iter_mut().find(|group| {
            let Some(&first) = group.persons.first() else {
                return false;
            };
            let is_arm = (person.alone as f32) < NO_ARM * persons[first].alone as f32;
            let around = group.bounds.with_surroundings(BEHIND);
            (person.is_shown || !is_arm) && around.common(&person.bounds) as f32 >= HIDDEN_IN * area
        });
        if let Some(group) = around {
            group.persons.push(p);
        }
    }
    for group in groups.iter_mut().filter(|group| group.persons.is_empty()) {
        if persons.len() < MAX_PERSONS {
            group.persons.push(persons.len());
            persons.push(TrackedPerson {
                bounds: group.bounds,
                is_shown: false,
                alone: group.area as u32,
                seen: time,
                larger_since: None,
            });
        }
    }
}

/// Finds the place of each person of each group. Returns the number of their cells.
fn part(
    found: &Blobs,
    width: usize,
    groups: &[BlobGroup],
    persons: &mut [TrackedPerson],
    time: i64,
) -> Vec<usize> {
    let mut areas = vec![0; persons.len()];
    let mut columns = vec![0u32; width];
    for group in groups {
        let (shown, hidden): (Vec<usize>, Vec<usize>) = group
            .persons
            .iter()
            .partition(|&&person| persons[person].is_shown);
        if let [one, ..] = group.persons[..]
            && (group.persons.len() == 1 || shown.is_empty())
        {
            areas[one] = group.area;
            persons[one].alone = group.area as u32;
            persons[one].is_at(group.bounds, time);
            continue;
        }
        columns.fill(0);
        for (_, x0, x1) in group.stretches(found) {
            columns[x0..x1].iter_mut().for_each(|count| *count += 1);
        }
        let mut parted = None;
        for &person in &shown {
            let columns = stretch(&columns, persons[person].bounds);
            if let Some((area, bounds)) = group.within(found, &columns) {
                areas[person] = area;
                persons[person].is_at(bounds, time);
            }
            parted = Some(Rect::around(parted, persons[person].bounds));
        }
        let Some(parted) = parted else { continue };
        for &person in &hidden {
            let TrackedPerson { bounds, alone, .. } = persons[person];
            let columns = match bounds.x0 + bounds.x1 < parted.x0 + parted.x1 {
                true => 0..parted.x0 as usize,
                false => parted.x1 as usize..width,
            };
            if let Some((area, bounds)) = group.within(found, &columns)
                && area as f32 >= STILL_SEEN * alone as f32
            {
                areas[person] = area;
                persons[person].is_at(bounds, time);
            }
        }
    }
    areas
}

/// The columns of a person who touches others, from their box `before`. They do not become more:
/// the new ones could be another person, who was behind.
fn stretch(counts: &[u32], before: Rect) -> Range<usize> {
    let (left, right) = (before.x0 as usize, before.x1 as usize);
    let reach = ((CUT_MOVES * before.width() as f32) as usize).max(1);
    let x0 = cut(counts, left, reach, |edge| edge.checked_sub(1));
    let x1 = cut(counts, right, reach, Some);
    let least = left.saturating_sub(right.saturating_sub(x1));
    let most = right + x0.saturating_sub(left);
    x0.max(least)..x1.min(most)
}

/// The edge near `at` that the fewest cells cross. `beyond` is the column behind an edge.
fn cut(columns: &[u32], at: usize, reach: usize, beyond: impl Fn(usize) -> Option<usize>) -> usize {
    let crossing = |edge| beyond(edge).and_then(|x| columns.get(x)).map_or(0, |&n| n);
    let edges = at.saturating_sub(reach)..=(at + reach).min(columns.len());
    edges
        .min_by_key(|&edge| 2 * crossing(edge) + edge.abs_diff(at) as u32)
        .unwrap_or(at)
}

/// Decides who is shown, where `areas` are the cells of each person in this frame.
fn choose(most: usize, persons: &mut [TrackedPerson], areas: &[usize], time: i64) {
    let mut order: Vec<usize> = (0..persons.len()).collect();
    order.sort_by_key(|&person| std::cmp::Reverse(areas[person]));
    let (mut shown, others): (Vec<usize>, Vec<usize>) =
        order.iter().partition(|&&person| persons[person].is_shown);
    // fewer people are wanted than in the frame before
    for surplus in shown.split_off(most.min(shown.len())) {
        persons[surplus].is_shown = false;
    }
    let here = others.into_iter().filter(|&person| areas[person] > 0);
    for (i, person) in here.enumerate() {
        if shown.len() + i < most {
            persons[person].is_shown = true;
            continue;
        }
        let smallest = shown.iter().copied().rfind(|&one| areas[one] > 0);
        let Some(smallest) = smallest else { continue };
        let ratio = areas[person] as f32 / areas[smallest] as f32;
        if ratio < LARGER {
            persons[person].larger_since = None;
            continue;
        }
        let since = persons[person].larger_since.unwrap_or(time).min(time);
        persons[person].larger_since = Some(since);
        let wait = match ratio < MUCH_LARGER {
            true => LARGER_US,
            false => MUCH_LARGER_US,
        };
        if time.saturating_sub(since) >= wait {
            persons[smallest].is_shown = false;
            persons[person].is_shown = true;
            break;
        }
    }
    for person in persons.iter_mut().filter(|person| person.is_shown) {
        person.larger_since = None;
    }
}

/// Intersection over union.
fn similarity(a: &Rect, b: &Rect) -> f32 {
    let common = a.common(b) as f32;
    common / (a.area() as f32 + b.area() as f32 - common)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDTH: usize = 64;
    const HEIGHT: usize = 40;
    const FRAME_US: i64 = 40_000;

    /// One camera with its chosen people and time.
    struct ChosenPeople {
        chooser: Chooser,
        persons: Vec<TrackedPerson>,
        time: i64,
    }

    impl ChosenPeople {
        fn of(people: &str) -> ChosenPeople {
            ChosenPeople {
                chooser: Chooser::new(people.parse().unwrap()),
                persons: Vec::new(),
                time: 0,
            }
        }

        /// The shown people of a frame with people in these boxes: (columns, rows).
        fn frame(&mut self, people: &[(Range<i32>, Range<i32>)]) -> Vec<u16> {
            let mut map = map(people);
            self.time += FRAME_US;
            let (persons, time) = (&mut self.persons, self.time);
            self.chooser.follow(WIDTH, &map, |p| p > 500, persons, time);
            self.chooser.hide(&mut map);
            map
        }
    }

    /// 1000 where people are, and 300 beside them.
    fn map(people: &[(Range<i32>, Range<i32>)]) -> Vec<u16> {
        let inside = |x: i32, y: i32, margin: i32| {
            people.iter().any(|(xs, ys)| {
                (xs.start - margin..xs.end + margin).contains(&x)
                    && (ys.start - margin..ys.end + margin).contains(&y)
            })
        };
        let cell = |i: usize| match ((i % WIDTH) as i32, (i / WIDTH) as i32) {
            (x, y) if inside(x, y, 0) => 1000,
            (x, y) if inside(x, y, 1) => 300,
            _ => 0,
        };
        (0..WIDTH * HEIGHT).map(cell).collect()
    }

    #[test]
    fn people_read_back_what_they_print() {
        for text in ["all", "nearest", "2", "9"] {
            assert_eq!(text.parse::<People>().unwrap().to_string(), text);
        }
        assert_eq!("1".parse(), Ok(People::Nearest(1)));
        for text in ["", "0", "10", "-1", "Nearest", "nearest:2", "1.5"] {
            assert!(text.parse::<People>().is_err(), "{text}");
        }
    }

    #[test]
    fn of_all_no_person_is_hidden() {
        let people = [(5..25, 10..40), (40..50, 20..40)];
        assert_eq!(ChosenPeople::of("all").frame(&people), map(&people));
    }

    #[test]
    fn the_nearest_is_shown_with_soft_edges_and_the_others_are_not() {
        let people = [(5..25, 10..40), (40..50, 20..40), (55..60, 25..40)];
        assert_eq!(
            ChosenPeople::of("nearest").frame(&people),
            map(&people[..1])
        );
        assert_eq!(ChosenPeople::of("2").frame(&people), map(&people[..2]));
        assert_eq!(ChosenPeople::of("3").frame(&people), map(&people));
    }

    #[test]
    fn a_head_above_a_hidden_body_belongs_to_the_person() {
        let person = [(5..25, 25..40), (10..20, 5..15)];
        let other = (40..50, 20..40);
        let all = [person[0].clone(), person[1].clone(), other];
        assert_eq!(ChosenPeople::of("nearest").frame(&all), map(&person));
    }

    #[test]
    fn another_person_must_be_larger_for_a_second() {
        let mut stream = ChosenPeople::of("nearest");
        let first = (5..25, 20..40);
        stream.frame(&[first.clone(), (40..50, 20..40)]);
        let larger = (35..60, 18..40);
        for n in 0..50 {
            let shown = stream.frame(&[first.clone(), larger.clone()]);
            let wanted = if n < 25 { &first } else { &larger };
            assert_eq!(shown, map(std::slice::from_ref(wanted)), "frame {n}");
        }
    }

    #[test]
    fn equally_large_people_do_not_take_turns() {
        let mut stream = ChosenPeople::of("nearest");
        let mut shown_left = 0;
        for n in 0..1000 {
            let (left, right) = ((5..25, 20 + n % 3..40), (40..60, 20 + (n + 1) % 4..40));
            shown_left += i32::from(stream.frame(&[left, right])[30 * WIDTH + 15] > 0);
        }
        assert!([0, 1000].contains(&shown_left), "{shown_left} of 1000");
    }

    #[test]
    fn the_next_person_is_shown_when_the_first_is_gone() {
        let mut stream = ChosenPeople::of("nearest");
        let (first, next) = ((5..25, 10..40), (40..50, 20..40));
        stream.frame(&[first, next.clone()]);
        let frames: Vec<bool> = (0..20)
            .map(|_| stream.frame(std::slice::from_ref(&next)) == map(std::slice::from_ref(&next)))
            .collect();
        assert_eq!(frames.iter().position(|shown| *shown), Some(13));
        assert!(frames[13..].iter().all(|shown| *shown));
    }

    #[test]
    fn a_hidden_person_who_walks_behind_a_shown_one_stays_hidden() {
        let mut stream = ChosenPeople::of("nearest");
        let near = (20..40, 10..40);
        for n in 0..60 {
            let walker = (56 - n..64 - n, 18..40);
            let shown = stream.frame(&[near.clone(), walker.clone()]);
            let count = |of: &[u16], inside: bool| {
                let cells = of.iter().enumerate();
                cells
                    .filter(|(i, v)| **v > 500 && near.0.contains(&((i % WIDTH) as i32)) == inside)
                    .count()
            };
            assert!(
                count(&shown, true) >= 570,
                "frame {n}: {}",
                count(&shown, true)
            );
            assert!(
                count(&shown, false) <= 45,
                "frame {n}: {}",
                count(&shown, false)
            );
        }
        assert_eq!(stream.persons.iter().filter(|one| one.is_shown).count(), 1);
    }

    #[test]
    fn a_separate_arm_is_shown_once_it_touches_its_person() {
        let mut stream = ChosenPeople::of("nearest");
        let body = (20..45, 5..40);
        stream.frame(&[body.clone(), (50..56, 30..40)]);
        let touching = [body, (45..56, 30..40)];
        assert_eq!(stream.frame(&touching), map(&touching));
    }

    #[test]
    fn hostile_times_and_empty_maps_are_survived() {
        let mut stream = ChosenPeople::of("nearest");
        for time in [i64::MAX - 100_000, i64::MIN, 0] {
            stream.time = time;
            stream.frame(&[(5..25, 10..40), (40..50, 20..40)]);
            stream.frame(&[(5..25, 10..40), (35..60, 5..40)]);
        }
        let mut persons = Vec::new();
        Chooser::new(People::Nearest(1)).follow(0, &[], |p: u16| p > 0, &mut persons, 0);
        assert_eq!(persons, []);
    }
}
