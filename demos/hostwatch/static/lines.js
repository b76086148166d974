/**
 * Lines over the last seconds, as SVG. Colours and strokes are the style sheet's.
 */

const SVG = "http://www.w3.org/2000/svg"
const [WIDTH, HEIGHT] = [300, 100]

export class Lines {
  element = make("svg")
  #columns
  #seconds
  #paths

  /** @param {{columns: number[], seconds: number}} options columns: where in a point the numbers of each line are */
  constructor({ columns, seconds }) {
    this.#columns = columns
    this.#seconds = seconds
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`)
    // The chart takes its card's shape; `vector-effect` in the style sheet keeps the strokes as they are.
    this.element.setAttribute("preserveAspectRatio", "none")
    const grid = make("path", "grid")
    grid.setAttribute("d", [0.25, 0.5, 0.75].map((part) => `M0 ${HEIGHT * part}H${WIDTH}`).join(""))
    this.#paths = columns.map((_, index) => ({
      area: make("path", `area area-${index + 1}`),
      line: make("path", `line line-${index + 1}`),
    }))
    this.element.append(grid, ...this.#paths.map(({ area }) => area), ...this.#paths.map(({ line }) => line))
  }

  /** Draws points, each a time and its numbers; the last one is at the right edge, and `top` at the upper one. */
  draw(points, top) {
    const last = points.at(-1)[0]
    const x = (point) => (WIDTH * (1 - (last - point[0]) / this.#seconds)).toFixed(1)
    this.#columns.forEach((column, index) => {
      const y = (point) => (HEIGHT * (1 - Math.min(point[column] / top, 1))).toFixed(1)
      const line = `M${points.map((point) => `${x(point)} ${y(point)}`).join("L")}`
      this.#paths[index].line.setAttribute("d", line)
      this.#paths[index].area.setAttribute("d", `${line}V${HEIGHT}H${x(points[0])}Z`)
    })
  }
}

/** The top of an axis for numbers up to `highest`: 1, 2 or 5 times a power of ten, so that it changes seldom. */
export function scaleFor(highest) {
  const least = Math.max(highest, 10_000)
  const power = 10 ** Math.floor(Math.log10(least))
  return power * [1, 2, 5, 10].find((factor) => factor * power >= least)
}

function make(name, className = "") {
  const element = document.createElementNS(SVG, name)
  if (className) element.setAttribute("class", className)
  return element
}
