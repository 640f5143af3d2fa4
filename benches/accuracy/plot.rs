//! Plots as SVG: known people with the right name (y) over named strangers (x, logarithmic), and measured over stated
//! shares.

use std::fmt::Write;

/// A line of the plot.
pub struct Curve {
    /// The label of the curve.
    pub name: String,
    /// The share of named strangers, the share of known people with the right name, and whether this is the default
    /// budget.
    pub points: Vec<(f64, f64, bool)>,
}

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 50.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 20.0;
/// The least share of strangers on the x axis.
const FEWEST: f64 = 1e-4;
/// The least share of known people on the y axis.
const LOWEST: f64 = 0.5;
const COLORS: [&str; 7] = ["#1b6ca8", "#56b4e9", "#2e7d32", "#c2185b", "#f06292", "#777777", "#e69f00"];

/// Draws the curves. The x axis ends at the share `most` of strangers.
pub fn plot(curves: &[Curve], most: f64) -> String {
    let x = |share: f64| {
        let (from, to) = (FEWEST.log10(), most.log10());
        LEFT + (share.max(FEWEST).log10() - from) / (to - from) * (WIDTH - LEFT - RIGHT)
    };
    let y = |share: f64| HEIGHT - BOTTOM - (share - LOWEST) / (1.0 - LOWEST) * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (share, label) in
        [(1e-4, "≤ 0.01 %"), (1e-3, "0.1 %"), (5e-3, "0.5 %"), (1e-2, "1 %"), (1e-1, "10 %"), (1.0, "100 %")]
    {
        if share > most {
            continue;
        }
        let (at, foot, head) = (x(share), y(LOWEST), y(1.0));
        let _ = writeln!(
            svg,
            "<path d=\"M{at:.1} {foot:.1}V{head:.1}\" stroke=\"#ddd\"/><text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            foot + 18.0
        );
    }
    // Curves that leave the plot below or to the left go on along its edge.
    for step in 0..=5 {
        let share = LOWEST + f64::from(step) * (1.0 - LOWEST) / 5.0;
        let at = y(share);
        let _ = writeln!(
            svg,
            "<path d=\"M{LEFT} {at:.1}H{:.1}\" stroke=\"#ddd\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}{:.0} %</text>",
            WIDTH - RIGHT,
            LEFT - 6.0,
            at + 4.0,
            if step == 0 { "≤ " } else { "" },
            share * 100.0
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">strangers who get a name, of pictures or visits</text>",
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0
    );
    let _ = writeln!(
        svg,
        "<text transform=\"translate(16 {:.1}) rotate(-90)\" text-anchor=\"middle\">people named rightly</text>",
        HEIGHT / 2.0
    );
    for (at, (curve, color)) in curves.iter().zip(COLORS).enumerate() {
        let points: Vec<String> =
            curve.points.iter().map(|(s, r, _)| format!("{:.1},{:.1}", x(*s), y(r.max(LOWEST)))).collect();
        let _ = writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>",
            points.join(" ")
        );
        for (s, r, is_default) in &curve.points {
            let radius = if *is_default { 5.0 } else { 2.0 };
            let _ = writeln!(
                svg,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius}\" fill=\"{color}\"/>",
                x(*s),
                y(r.max(LOWEST))
            );
        }
        let (left, line) = (WIDTH - RIGHT + 14.0, TOP + 20.0 + 20.0 * at as f64);
        let _ = writeln!(
            svg,
            "<path d=\"M{left} {line}h20\" stroke=\"{color}\" stroke-width=\"2\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>",
            left + 26.0,
            line + 4.0,
            curve.name
        );
    }
    let line = TOP + 30.0 + 20.0 * curves.len() as f64;
    let _ = writeln!(
        svg,
        "<text x=\"{:.1}\" y=\"{line:.1}\">large dots: the default budget, 0.5 %</text>\n</svg>",
        WIDTH - RIGHT + 14.0
    );
    svg
}

/// The stated and the measured share of named strangers for a set of people.
pub struct Stated {
    /// The stated share, and its stated upper bound.
    pub stated: (f64, f64),
    /// The measured share, and its interval.
    pub measured: (f64, (f64, f64)),
    /// An index into [`KINDS`].
    pub kind: usize,
}

/// The colour and the label of each kind of point of [`stated`].
pub const KINDS: [(&str, &str); 4] = [
    ("#bbbbbb", "before: distances alone"),
    ("#1b6ca8", "groups that the cohort has"),
    ("#e69f00", "groups that the cohort lacks"),
    ("#2e7d32", "the same, strangers remembered"),
];
/// The least share on the axes of [`stated`]; smaller shares are drawn there.
const LEAST: f64 = 1e-3;

/// Draws the measured share (y) over the stated share (x), with the interval of each point.
pub fn stated(points: &[Stated]) -> String {
    let part = |share: f64| (share.max(LEAST).log10() - LEAST.log10()) / -LEAST.log10();
    let x = |share: f64| LEFT + part(share) * (WIDTH - LEFT - RIGHT);
    let y = |share: f64| HEIGHT - BOTTOM - part(share) * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (share, label) in [(LEAST, "≤ 0.1 %"), (5e-3, "0.5 %"), (1.5e-2, "1.5 %"), (1e-1, "10 %"), (1.0, "100 %")] {
        let (across, up) = (x(share), y(share));
        let (foot, head, right) = (y(LEAST), y(1.0), x(1.0));
        let _ = writeln!(
            svg,
            "<path d=\"M{across:.1} {foot:.1}V{head:.1}M{LEFT} {up:.1}H{right:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{across:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
            foot + 18.0,
            LEFT - 6.0,
            up + 4.0
        );
    }
    let _ = writeln!(
        svg,
        "<path d=\"M{:.1} {:.1}L{:.1} {:.1}\" stroke=\"#999\" stroke-dasharray=\"4\"/>\
         <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">stated: strangers who may get a name, and the most of them</text>\
         <text transform=\"translate(12 {:.1}) rotate(-90)\" text-anchor=\"middle\">measured, 95 %</text>",
        x(LEAST),
        y(LEAST),
        x(1.0),
        y(1.0),
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 12.0,
        HEIGHT / 2.0
    );
    for point in points {
        let (color, _) = KINDS[point.kind];
        let ((named, most), (share, (from, to))) = (point.stated, point.measured);
        let (across, up) = (x(named), y(share));
        let _ = writeln!(
            svg,
            "<path d=\"M{across:.1} {up:.1}H{:.1}M{across:.1} {:.1}V{:.1}\" stroke=\"{color}\" opacity=\"0.5\"/>\
             <circle cx=\"{across:.1}\" cy=\"{up:.1}\" r=\"3\" fill=\"{color}\"/>",
            x(most),
            y(from),
            y(to)
        );
    }
    for (at, (color, name)) in KINDS.iter().enumerate() {
        let (left, line) = (WIDTH - RIGHT + 20.0, TOP + 20.0 + 20.0 * at as f64);
        let _ = writeln!(
            svg,
            "<circle cx=\"{left}\" cy=\"{line}\" r=\"4\" fill=\"{color}\"/><text x=\"{:.1}\" y=\"{:.1}\">{name}</text>",
            left + 12.0,
            line + 4.0
        );
    }
    svg + "</svg>\n"
}
