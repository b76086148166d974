/**
 * One metric: its heading, its chart, and the same in words: now, lowest and highest of each series.
 */

import { Lines, scaleFor } from "./lines.js"

const percent = new Intl.NumberFormat("en", { maximumFractionDigits: 0 })
const rate = new Intl.NumberFormat("en", { maximumSignificantDigits: 2 })

export class Card {
  element = make("section", "card")
  #unit
  #note = make("p", "note")
  #top = make("span", "top")
  #charts
  #numbers
  #drawn = null

  constructor(metric, { title, unit, series }, seconds) {
    this.#unit = unit
    const heading = make("h2", "", title)
    heading.id = `${metric}-heading`
    this.element.setAttribute("aria-labelledby", heading.id)
    this.element.append(heading, this.#note)
    // Many series in one chart are a tangle: each gets a small chart of its own.
    const isTangle = series.length > 2 || metric === "cores"
    this.element.append(...(isTangle ? this.#separate(series, seconds) : this.#together(title, series, seconds)))
  }

  /** Draws points, each [time, number of each series…]; those that were drawn already are not drawn again. */
  draw(points, note = "") {
    if (points === this.#drawn || points.length === 0) return
    this.#drawn = points
    if (this.#note.textContent !== note) this.#note.textContent = note
    const columns = this.#numbers.map((_, series) => points.map((point) => point[series + 1]))
    const top = this.#unit === "%" ? 100 : scaleFor(Math.max(...columns.flat()))
    this.#top.textContent = this.#format(top)
    for (const chart of this.#charts) chart.draw(points, top)
    this.#numbers.forEach((cells, series) => {
      const column = columns[series]
      const values = [column.at(-1), Math.min(...column), Math.max(...column)]
      cells.forEach((cell, place) => { cell.textContent = this.#format(values[place]) })
    })
  }

  #together(title, series, seconds) {
    const lines = new Lines({ columns: series.map((_, index) => index + 1), seconds })
    this.#charts = [lines]
    lines.element.setAttribute("role", "img")
    lines.element.setAttribute("aria-label", `${title}, the last ${seconds} seconds as a chart; the table has its numbers`)
    const frame = make("div", "frame")
    const axis = make("p", "axis")
    axis.setAttribute("aria-hidden", "true")
    axis.append(make("span", "", `${seconds} s ago`), make("span", "", "now"))
    this.#top.setAttribute("aria-hidden", "true")
    frame.append(this.#top, lines.element)

    const table = make("table")
    const head = table.createTHead().insertRow()
    head.append(make("td"), ...["Now", "Lowest", "Highest"].map((text) => header("col", text)))
    const rows = table.createTBody()
    this.#numbers = series.map((name, index) => {
      const row = rows.insertRow()
      const first = header("row", name)
      first.className = `key line-${index + 1}`
      row.append(first)
      return [row.insertCell(), row.insertCell(), row.insertCell()]
    })
    return [frame, axis, table]
  }

  #separate(series, seconds) {
    const list = make("ul", "small")
    this.#charts = []
    this.#numbers = series.map((name, index) => {
      const lines = new Lines({ columns: [index + 1], seconds })
      lines.element.setAttribute("aria-hidden", "true")
      this.#charts.push(lines)
      const now = make("strong")
      const text = make("p")
      text.append(make("span", "", name), " ", now)
      const item = make("li")
      item.append(text, lines.element)
      list.append(item)
      return [now]
    })
    return [list]
  }

  #format(value) {
    if (this.#unit === "%") return `${percent.format(value)} %`
    const step = value < 1000 ? 0 : Math.min(Math.floor(Math.log10(value) / 3), 3)
    return `${rate.format(value / 1000 ** step)} ${["B", "kB", "MB", "GB"][step]}/s`
  }
}

function header(scope, text) {
  const cell = make("th", "", text)
  cell.scope = scope
  return cell
}

function make(name, className = "", text = "") {
  const element = document.createElement(name)
  if (className) element.className = className
  if (text) element.textContent = text
  return element
}
