/**
 * A button for each option, and under it a bar: its share of the votes of all.
 */

export function show(session) {
  const find = (id) => document.getElementById(id)
  const rows = new Map()
  find("question").textContent = session.data.question
  for (const option of Object.keys(session.data.counts)) {
    const row = new Row(option, async () => {
      find("problem").textContent = ""
      try {
        await session.send("Vote", { option })
      } catch (error) {
        find("problem").textContent = error.text
      }
    })
    rows.set(option, row)
    find("options").append(row.element)
  }

  session.subscribe("", ({ counts, chosen }) => {
    const total = Object.values(counts).reduce((sum, count) => sum + count, 0)
    for (const [option, row] of rows) row.draw({ count: counts[option], total, isChosen: option === chosen, isOver: chosen !== null })
    find("total").textContent = total === 1 ? "1 vote" : `${total} votes`
  })

  // In a frame: tell the page around us how high we are. It is nothing that others may not know.
  if (parent !== window) {
    new ResizeObserver(() => parent.postMessage({ height: document.body.offsetHeight }, "*")).observe(document.body)
  }
}

class Row {
  element = document.createElement("li")
  #button = document.createElement("button")
  #name = document.createElement("span")
  #count = document.createElement("strong")
  #bar = document.createElementNS("http://www.w3.org/2000/svg", "rect")
  #isOver = false

  constructor(option, choose) {
    this.#name.textContent = option
    this.#button.type = "button"
    this.#button.addEventListener("click", () => this.#isOver || choose())
    const chart = document.createElementNS("http://www.w3.org/2000/svg", "svg")
    chart.setAttribute("aria-hidden", "true")
    this.#bar.setAttribute("height", "100%")
    chart.append(this.#bar)
    this.#button.append(this.#name, " ", this.#count, chart)
    this.element.append(this.#button)
  }

  draw({ count, total, isChosen, isOver }) {
    this.#count.textContent = String(count)
    this.#bar.setAttribute("width", total ? `${(100 * count) / total}%` : "0")
    this.#button.setAttribute("aria-pressed", String(isChosen))
    this.#isOver = isOver
    // Not `disabled`: that would take the focus away from who votes by keyboard.
    this.#button.setAttribute("aria-disabled", String(isOver))
  }
}
