//! Bars over time as SVG. Names never enter a drawing: a series is known by its slot, and the style sheet gives
//! each slot its colour and pattern, so that a chart follows the reader's colours and needs no style of its own.

use askama::Template as _;
use charts_rs::{BarChart, Color, MarkLine, MarkLineCategory, Series};

/// How many bars a chart may have; a month has 30.
const MAX_BARS: usize = 64;
/// Drawings are twice the size that they are seen in: the library's margins are then half as wide.
const WIDE: Format = Format { width: 1_440.0, height: 440.0, font: 25.0 };
const NARROW: Format = Format { width: 640.0, height: 420.0, font: 27.0 };
const MARGIN: f32 = 8.0;
/// Between the axis and the labels below it, in heights of the font.
const LABEL_GAP: f32 = 0.6;
/// Room for the labels below the bars, in heights of the font.
const LABEL_LINES: f32 = 2.0;
/// A limit is drawn when the bars reach at least this part of it; below, the bars would be flat.
const LIMIT_IN_SIGHT: u64 = 3;
const LIMIT_DASHES: &str = "12,8";
const LIMIT_STROKE: f32 = 3.0;

/// What a series means; each has a look of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// A key, or all others, by its place in the stack.
    Key(usize),
    /// Limited requests.
    Limited,
    /// Refused requests.
    Refused,
}

impl Slot {
    /// By what the style sheet knows it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Key(0) => "key-1",
            Self::Key(1) => "key-2",
            Self::Key(2) => "key-3",
            Self::Key(3) => "key-4",
            Self::Key(4) => "key-5",
            Self::Key(_) => "key-6",
            Self::Limited => "limited",
            Self::Refused => "refused",
        }
    }
}

/// A chart to be drawn.
#[derive(Debug, Clone)]
pub struct Bars {
    /// Its id on the page.
    pub id: &'static str,
    /// What it shows.
    pub title: String,
    /// What it says, in a sentence or two.
    pub description: String,
    /// Below the bars, where there is room for many; an empty text leaves a bar without one.
    pub labels: Vec<String>,
    /// The same where there is room for few.
    pub few_labels: Vec<String>,
    /// Stacked from the bottom.
    pub series: Vec<(Slot, Vec<u64>)>,
    /// What the plan lets through in the time of one bar.
    pub limit: Option<u64>,
}

/// A chart as it stands in a page, once for wide and once for narrow windows.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// What it shows.
    pub title: String,
    /// For windows from 640 pixels.
    pub wide: String,
    /// For narrower ones.
    pub narrow: String,
    /// Whether the limit is a line in it.
    pub shows_limit: bool,
}

/// Why a chart could not be drawn.
#[derive(Debug)]
pub struct DrawError(pub String);

#[derive(Debug, Clone, Copy)]
struct Format {
    width: f32,
    height: f32,
    font: f32,
}

/// The element around a drawing: named and described for those who do not see it.
#[derive(askama::Template)]
#[template(
    source = "<svg class=\"plot {{ size }}\" viewBox=\"0 0 {{ width }} {{ height }}\" role=\"img\" \
              aria-labelledby=\"{{ id }}-{{ size }}-title {{ id }}-{{ size }}-text\">\
              <title id=\"{{ id }}-{{ size }}-title\">{{ title }}</title>\
              <desc id=\"{{ id }}-{{ size }}-text\">{{ description }}</desc>",
    ext = "html"
)]
struct Opening<'a> {
    id: &'a str,
    size: &'a str,
    width: f32,
    height: f32,
    title: &'a str,
    description: &'a str,
}

impl Bars {
    /// Draws it for wide and for narrow windows.
    pub fn draw(&self) -> Result<Drawing, DrawError> {
        Ok(Drawing {
            title: self.title.clone(),
            wide: self.drawn("wide", WIDE, &self.labels)?,
            narrow: self.drawn("narrow", NARROW, &self.few_labels)?,
            shows_limit: self.limit_in_sight().is_some(),
        })
    }

    fn tallest(&self) -> u64 {
        let bars = self.series.iter().map(|(_, values)| values.len()).max().unwrap_or(0).min(MAX_BARS);
        let bar = |index| self.series.iter().filter_map(|(_, values)| values.get(index)).sum();
        (0..bars).map(bar).max().unwrap_or(0)
    }

    fn limit_in_sight(&self) -> Option<u64> {
        self.limit.filter(|limit| self.tallest().saturating_mul(LIMIT_IN_SIGHT) >= *limit)
    }

    fn drawn(&self, size: &str, format: Format, labels: &[String]) -> Result<String, DrawError> {
        let limit = self.limit_in_sight();
        let scale = Scale::up_to(self.tallest().max(limit.unwrap_or(0)));
        let mut series: Vec<Series> =
            self.series.iter().map(|(slot, values)| stacked(*slot, values)).collect();
        if let (Some(limit), Some(first)) = (limit, series.first_mut()) {
            first.mark_lines = vec![limit_line(limit)];
        }
        let labels = labels.get(..MAX_BARS).unwrap_or(labels).to_vec();
        let mut chart = BarChart::new(series, labels);
        (chart.width, chart.height, chart.margin) = (format.width, format.height, MARGIN.into());
        chart.background_color = Color::transparent();
        chart.legend.show = Some(false);
        chart.x_axis.font.size = format.font;
        chart.x_axis.height = format.font * LABEL_LINES;
        // Away from the axis, where "0" stands in the same corner as the first label.
        chart.x_axis.name_gap = format.font * LABEL_GAP;
        for axis in &mut chart.y_axis_configs {
            axis.font.size = format.font;
            (axis.min, axis.max, axis.split_number) = (Some(0.0), Some(number(scale.top)), scale.steps);
            axis.formatter = Some("{t}".to_owned());
        }
        let svg = chart.svg().map_err(|cause| DrawError(cause.to_string()))?;
        let (_, body) =
            svg.split_once('>').ok_or_else(|| DrawError("the drawing has no element".to_owned()))?;
        let opening = Opening {
            id: self.id,
            size,
            width: format.width,
            height: format.height,
            title: &self.title,
            description: &self.description,
        };
        Ok(opening.render().map_err(|cause| DrawError(cause.to_string()))? + body)
    }
}

/// One series; where it has nothing there is no bar.
fn stacked(slot: Slot, values: &[u64]) -> Series {
    let values = values.get(..MAX_BARS).unwrap_or(values);
    let bars = values.iter().map(|value| (*value > 0).then(|| number(*value))).collect();
    Series { stack: Some("all".to_owned()), ..Series::new_nullable(slot.word().to_owned(), bars) }
}

fn limit_line(limit: u64) -> MarkLine {
    MarkLine {
        category: MarkLineCategory::Value(number(limit)),
        color: None,
        stroke_width: Some(LIMIT_STROKE),
        stroke_dash_array: Some(LIMIT_DASHES.to_owned()),
    }
}

/// Heights of bars need no more digits than a screen has pixels; exact numbers stand in the table.
#[expect(clippy::cast_precision_loss, reason = "only lengths on a screen")]
fn number(value: u64) -> f32 {
    value as f32
}

/// Whole numbers beside the axis: steps of 1, 2 or 5 and zeros.
#[derive(Debug, PartialEq, Eq)]
struct Scale {
    top: u64,
    steps: usize,
}

impl Scale {
    const MOST_STEPS: u64 = 5;

    fn up_to(highest: u64) -> Self {
        let powers = std::iter::successors(Some(1_u64), |power| power.checked_mul(10));
        let steps = powers.flat_map(|power| [1, 2, 5].map(|digit| power.saturating_mul(digit)));
        let highest = highest.max(1);
        let step = steps.into_iter().find(|step| highest.div_ceil(*step) <= Self::MOST_STEPS);
        let step = step.unwrap_or(highest);
        let count = highest.div_ceil(step);
        Self { top: step.saturating_mul(count), steps: usize::try_from(count).unwrap_or(1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bars(values: &[u64], limit: Option<u64>) -> Bars {
        Bars {
            id: "requests",
            title: "Requests <by key>".to_owned(),
            description: "312 & more".to_owned(),
            labels: vec!["23 Nov".to_owned(); values.len()],
            few_labels: vec![String::new(); values.len()],
            series: vec![(Slot::Key(0), values.to_vec()), (Slot::Limited, vec![0, 2])],
            limit,
        }
    }

    #[test]
    fn a_drawing_is_named_described_and_brings_no_style_and_no_script() {
        let drawing = bars(&[3, 0, 7], None).draw().unwrap();
        for svg in [&drawing.wide, &drawing.narrow] {
            assert!(svg.contains("role=\"img\""), "{svg}");
            assert!(
                svg.contains(">Requests &#60;by key&#62;</title>") && svg.contains(">312 &#38; more</desc>"),
                "{svg}"
            );
            assert!(!svg.contains("style") && !svg.contains("<script") && !svg.contains("<b"), "{svg}");
            assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        }
        assert!(
            drawing.wide.contains("requests-wide-title") && drawing.narrow.contains("requests-narrow-title")
        );
    }

    #[test]
    fn a_bar_stands_where_something_was_counted_and_nowhere_else() {
        let drawing = bars(&[3, 0, 7], None).draw().unwrap();
        assert_eq!(drawing.wide.matches("data-series=\"key-1\"").count(), 2);
        assert_eq!(drawing.wide.matches("data-series=\"limited\"").count(), 1);
    }

    #[test]
    fn the_limit_is_drawn_when_it_is_near() {
        let near = bars(&[30, 40], Some(100)).draw().unwrap();
        assert!(near.shows_limit && near.wide.contains("stroke-dasharray"), "{}", near.wide);
        let far = bars(&[30, 20], Some(100)).draw().unwrap();
        assert!(!far.shows_limit && !far.wide.contains("stroke-dasharray"));
    }

    #[test]
    fn the_axis_has_whole_numbers_and_few_steps() {
        let scale = |highest| (Scale::up_to(highest).top, Scale::up_to(highest).steps);
        assert_eq!(scale(0), (1, 1));
        assert_eq!(scale(3), (3, 3));
        assert_eq!(scale(7), (8, 4));
        assert_eq!(scale(312), (400, 4));
        assert_eq!(scale(216_000), (250_000, 5));
        assert_eq!(scale(u64::MAX).1, 4);
    }

    #[test]
    fn numbers_of_any_size_are_drawn() {
        for value in [1, u64::from(u32::MAX), u64::MAX / 4] {
            assert!(!bars(&[value], None).draw().unwrap().wide.contains("NaN"));
        }
    }
}
