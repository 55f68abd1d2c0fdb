//! A curve as SVG, by hand.

use std::fmt::Write;

/// What is drawn.
pub(super) struct Axes<'a> {
    pub title: &'a str,
    pub x: &'a str,
    pub y: &'a str,
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 360.0;
/// Room for the labels.
const LEFT: f64 = 80.0;
const BELOW: f64 = 50.0;
const ABOVE: f64 = 40.0;
const RIGHT: f64 = 20.0;
const TICKS: usize = 5;

/// A line through the points; both axes begin at 0.
pub(super) fn line(axes: &Axes, points: &[(f64, f64)]) -> String {
    let (x_max, y_max) =
        (round_up(points.iter().map(|point| point.0)), round_up(points.iter().map(|point| point.1)));
    let x = |value: f64| LEFT + value / x_max * (WIDTH - LEFT - RIGHT);
    let y = |value: f64| HEIGHT - BELOW - value / y_max * (HEIGHT - ABOVE - BELOW);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for tick in 0..=TICKS {
        let share = tick as f64 / TICKS as f64;
        let (at, up) = (x(share * x_max), y(share * y_max));
        let (left, right, base) = (LEFT, WIDTH - RIGHT, HEIGHT - BELOW);
        push(&mut svg, format_args!("<path d=\"M{left} {up:.1}H{right}\" stroke=\"#ddd\"/>\n"));
        push(&mut svg, text(left - 8.0, up + 4.0, "end", &number(share * y_max)));
        push(&mut svg, text(at, base + 18.0, "middle", &number(share * x_max)));
    }
    let path: Vec<String> =
        points.iter().map(|point| format!("{:.1},{:.1}", x(point.0), y(point.1))).collect();
    push(
        &mut svg,
        format_args!(
            "<polyline points=\"{}\" fill=\"none\" stroke=\"#1f77b4\" stroke-width=\"2\"/>\n",
            path.join(" ")
        ),
    );
    push(&mut svg, text(WIDTH / 2.0, 22.0, "middle", axes.title));
    push(&mut svg, text(WIDTH / 2.0, HEIGHT - 10.0, "middle", axes.x));
    push(&mut svg, text(LEFT - 8.0, ABOVE - 12.0, "end", axes.y));
    svg.push_str("</svg>\n");
    svg
}

fn push(svg: &mut String, part: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = write!(svg, "{part}");
}

fn text(x: f64, y: f64, anchor: &str, text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>\n")
}

/// The least number of the kind 1, 2, 5, 10, 20… that none exceeds; above 0.
fn round_up(values: impl Iterator<Item = f64>) -> f64 {
    let most = values.filter(|value| value.is_finite()).fold(1.0, f64::max);
    let power = 10f64.powf(most.log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|step| step * power).into_iter().find(|bound| *bound >= most).unwrap_or(most)
}

/// `1,500`
fn number(value: f64) -> String {
    let digits = format!("{value:.0}");
    let group = |(at, digit): (usize, char)| match at > 0 && (digits.len() - at).is_multiple_of(3) {
        true => format!(",{digit}"),
        false => digit.to_string(),
    };
    digits.chars().enumerate().map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_fits_its_frame() {
        let axes = Axes { title: "a < b", x: "x", y: "y" };
        let svg = line(&axes, &[(100.0, 900.0), (1_000.0, 1_500.0)]);
        assert!(svg.contains("a &lt; b") && svg.contains(">2,000<") && svg.contains(">1,000<"), "{svg}");
        assert!(svg.contains("points=\"142.0,188.5 700.0,107.5\""), "{svg}");
        assert!(line(&axes, &[]).ends_with("</svg>\n"));
    }

    #[test]
    fn bounds_are_round() {
        let bound = |value| round_up(std::iter::once(value));
        assert_eq!(
            [bound(1.0), bound(1.1), bound(499.0), bound(501.0), bound(0.0)],
            [1.0, 2.0, 500.0, 1000.0, 1.0]
        );
        assert_eq!([number(5.0), number(1e6), number(12_345.0)], ["5", "1,000,000", "12,345"]);
    }
}
