//! A plot as SVG: named rightly (up) against strangers named (to the right, logarithmic).

use std::fmt::Write;

/// A line of the plot.
pub struct Curve {
    /// What it is.
    pub name: String,
    /// Share of strangers named, share of known people named rightly, and whether this is the default.
    pub points: Vec<(f64, f64, bool)>,
}

const WIDTH: f64 = 840.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 60.0;
const BOTTOM: f64 = 50.0;
const RIGHT: f64 = 270.0;
const TOP: f64 = 20.0;
/// Shares of strangers at the ends of the axis, and of known people at its foot.
const STRANGERS: (f64, f64) = (1e-4, 1e-1);
const LOWEST: f64 = 0.5;
const COLORS: [&str; 7] = ["#1b6ca8", "#56b4e9", "#2e7d32", "#c2185b", "#f06292", "#777777", "#e69f00"];

/// Draws the curves.
pub fn plot(curves: &[Curve]) -> String {
    let x = |share: f64| {
        let (from, to) = (STRANGERS.0.log10(), STRANGERS.1.log10());
        LEFT + (share.max(STRANGERS.0).log10() - from) / (to - from) * (WIDTH - LEFT - RIGHT)
    };
    let y = |share: f64| HEIGHT - BOTTOM - (share - LOWEST) / (1.0 - LOWEST) * (HEIGHT - BOTTOM - TOP);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for (share, label) in [(1e-4, "≤ 0.01 %"), (1e-3, "0.1 %"), (5e-3, "0.5 %"), (1e-2, "1 %"), (1e-1, "10 %")] {
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
