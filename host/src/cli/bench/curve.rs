//! Curves of recall against time, as numbers and as a picture.

use std::fmt::Write;

use super::vectors::{Measured, Point};

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 440.0;
const MARGIN: f64 = 60.0;
const COLOURS: [&str; 4] = ["#1b7837", "#762a83", "#d95f02", "#666666"];

/// Time at a recall, between the points around it; `None` where no point is as good.
pub(super) fn time_at(points: &[Point], recall: f64) -> Option<f64> {
    let at = points.iter().position(|point| point.recall >= recall)?;
    let above = points[at];
    let Some(below) = at.checked_sub(1).map(|at| points[at]) else { return Some(above.us) };
    let share = (recall - below.recall) / (above.recall - below.recall);
    Some(below.us + (above.us - below.us) * share)
}

/// A picture: recall to the right, microseconds upwards by their logarithm.
pub(super) fn svg(measured: &[Measured]) -> String {
    let all = || measured.iter().flat_map(|graph| &graph.points);
    let least = all().map(|point| point.recall).fold(1.0, f64::min);
    let (fast, slow) =
        all().fold((f64::MAX, 1.0f64), |(fast, slow), point| (fast.min(point.us), slow.max(point.us)));
    let x = |recall: f64| MARGIN + (recall - least) / (1.0 - least).max(1e-9) * (WIDTH - 2.0 * MARGIN);
    let y = |us: f64| {
        let share = (us / fast).ln() / (slow / fast).ln().max(1e-9);
        HEIGHT - MARGIN - share * (HEIGHT - 2.0 * MARGIN)
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n"
    );
    let mut text = |x: f64, y: f64, anchor: &str, said: &str| {
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{said}</text>").ok();
    };
    text(WIDTH / 2.0, HEIGHT - 15.0, "middle", "recall@10");
    text(MARGIN, 20.0, "middle", "µs a query");
    for step in 0..=5 {
        let share = f64::from(step) / 5.0;
        let (recall, us) = (least + (1.0 - least) * share, fast * (slow / fast).powf(share));
        text(x(recall), HEIGHT - MARGIN + 18.0, "middle", &format!("{recall:.3}"));
        text(MARGIN - 8.0, y(us) + 4.0, "end", &format!("{us:.0}"));
    }
    for (at, graph) in measured.iter().enumerate() {
        text(MARGIN + 40.0, MARGIN + 18.0 * at as f64 + 4.0, "start", &graph.name);
    }
    for (at, (graph, colour)) in measured.iter().zip(COLOURS.iter().cycle()).enumerate() {
        let points: Vec<_> =
            graph.points.iter().map(|point| format!("{:.1},{:.1}", x(point.recall), y(point.us))).collect();
        let mut line = |points: &str| {
            writeln!(
                svg,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{points}\"/>"
            )
            .ok();
        };
        line(&points.join(" "));
        let level = MARGIN + 18.0 * at as f64;
        line(&format!("{:.0},{level:.0} {:.0},{level:.0}", MARGIN + 8.0, MARGIN + 32.0));
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_lie_between_points() {
        let point = |recall, us| Point { ef: 1, recall, us };
        let points = [point(0.9, 10.0), point(1.0, 20.0)];
        assert_eq!(time_at(&points, 0.95).map(f64::round), Some(15.0));
        assert_eq!((time_at(&points, 0.5), time_at(&points[..1], 0.95)), (Some(10.0), None));
    }
}
