//! The templates of a person: the mean of their pictures, or several means when the pictures form groups (a person as a
//! child and as an adult).

use crate::recognition::descriptor::{Descriptor, mean, spread, squared_distance};
use crate::recognition::identify::rates::Rates;

/// Means of one person's pictures that are further apart than this remain separate templates. dlib's authors take
/// pictures at this distance for different people. On LFW hardly any person gets several templates. The limit is scaled
/// for models with longer distances, because it would separate many people there.
const APART: f32 = 0.6;

/// The most pictures that are grouped, because that takes the cube of their number. Further pictures join the nearest
/// group.
const GROUPED: usize = 40;

#[derive(Debug, Clone)]
pub struct Template {
    pub mean: Descriptor,
    /// The number of independent pictures to which the mean is equivalent.
    pub effective: f32,
}

/// The templates of a person. With `separate`, each picture is a template.
pub fn templates_of(pictures: &[Descriptor], separate: bool, rates: &Rates) -> Vec<Template> {
    let (first, rest) = pictures.split_at(pictures.len().min(if separate { usize::MAX } else { GROUPED }));
    let mut groups: Vec<Vec<&Descriptor>> = first.iter().map(|picture| vec![picture]).collect();
    let apart = APART * rates.scale();
    // The two nearest groups are merged until all groups are apart.
    while !separate && groups.len() > 1 {
        let mut nearest = (f32::INFINITY, 0, 0);
        let means: Vec<Descriptor> = groups.iter().map(|group| mean(group.iter().map(|d| (**d, 1.0)))).collect();
        for (b, right) in means.iter().enumerate() {
            for (a, left) in means[..b].iter().enumerate() {
                let score = squared_distance(left, right);
                if score < nearest.0 {
                    nearest = (score, a, b);
                }
            }
        }
        if nearest.0 > apart * apart {
            break;
        }
        let joining = groups.remove(nearest.2);
        groups[nearest.1].extend(joining);
    }
    for picture in rest {
        let distance =
            |group: &Vec<&Descriptor>| group.iter().map(|d| squared_distance(d, picture)).fold(f32::INFINITY, f32::min);
        if let Some(group) = groups.iter_mut().min_by(|a, b| distance(a).total_cmp(&distance(b))) {
            group.push(picture);
        }
    }
    groups.iter().map(|group| template(group, rates)).collect()
}

fn template(group: &[&Descriptor], rates: &Rates) -> Template {
    let mean = mean(group.iter().map(|d| (**d, 1.0)));
    Template { mean, effective: rates.effective_count(group.len(), spread(group.iter().map(|d| (**d, 1.0)), &mean)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recognition::descriptor::DESCRIPTOR_LEN;

    fn at(x: f32) -> Descriptor {
        let mut descriptor = [0.0; DESCRIPTOR_LEN];
        descriptor[7] = x;
        descriptor
    }

    #[test]
    fn pictures_that_form_two_groups_make_two_means_in_any_order() {
        for order in [[0.0, 0.1, 1.0, 1.1], [1.1, 0.0, 1.0, 0.1]] {
            let mut means: Vec<f32> =
                templates_of(&order.map(at), false, &Rates::default()).iter().map(|t| t.mean[7]).collect();
            means.sort_by(f32::total_cmp);
            assert!((means[0] - 0.05).abs() < 1e-6 && (means[1] - 1.05).abs() < 1e-6, "{means:?}");
        }
        assert_eq!(templates_of(&[at(0.0), at(0.1)], true, &Rates::default()).len(), 2);
        let longer = Rates { within_variance: Rates::default().within_variance * 4.0, ..Rates::default() };
        assert_eq!([0.7, 1.3].map(|x| templates_of(&[at(0.0), at(x)], false, &longer).len()), [1, 2]);
    }

    #[test]
    fn copies_of_a_picture_count_as_one_picture() {
        let copies = templates_of(&[at(0.3); 5], false, &Rates::default());
        assert_eq!((copies.len(), copies[0].effective), (1, 1.0));
        let apart = templates_of(&[at(0.0), at(0.5)], false, &Rates::default());
        assert_eq!((apart.len(), apart[0].effective), (1, 2.0));
    }
}
