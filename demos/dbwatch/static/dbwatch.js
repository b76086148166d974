/**
 * The page: a row for each order, newest first. A row that has changed flashes, also one that came while nobody looked.
 */

const STATUSES = ["new", "packed", "sent", "returned"]
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" })

export function watch(session) {
  const body = document.getElementById("orders")
  const rows = new Map()

  session.subscribe("/orders", (orders, before) => {
    for (const [id, row] of rows) {
      if (!(id in orders)) {
        row.element.remove()
        rows.delete(id)
      }
    }
    const ids = Object.keys(orders).sort((one, other) => other - one)
    ids.forEach((id, place) => {
      if (!rows.has(id)) rows.set(id, new Row(id))
      const row = rows.get(id)
      // Unchanged parts of the mirror stay the same objects, so this finds the order that has changed.
      if (before === undefined || orders[id] !== before[id]) row.show(orders[id], { flash: before !== undefined })
      if (body.children[place] !== row.element) body.insertBefore(row.element, body.children[place] ?? null)
    })
    count(Object.values(orders))
  })

  session.subscribe("/away", (away) => {
    document.getElementById("away").hidden = !away
    document.body.classList.toggle("stale", away)
  })
}

class Row {
  element = document.createElement("tr")
  #cells = {}
  #flashed

  constructor(id) {
    // The roles are what these elements are anyway, but on a phone they are laid out as no table, and lose them.
    this.element.role = "row"
    for (const name of ["number", "item", "customer", "status", "time"]) {
      const cell = document.createElement(name === "number" ? "th" : "td")
      cell.className = name
      cell.role = name === "number" ? "rowheader" : "cell"
      this.#cells[name] = cell
      this.element.append(cell)
    }
    this.#cells.number.scope = "row"
    this.#cells.number.textContent = id
  }

  show({ customer, item, quantity, status, changed_at: changedAt }, { flash }) {
    const { item: what, customer: whose, status: state, time } = this.#cells
    what.textContent = quantity === 1 ? item : `${quantity} × ${item}`
    whose.textContent = customer
    const pill = document.createElement("span")
    pill.className = `pill ${STATUSES.includes(status) ? status : ""}`
    pill.textContent = status
    state.replaceChildren(pill)
    const when = new Date(changedAt)
    const mark = document.createElement("time")
    mark.dateTime = changedAt
    mark.textContent = when.toDateString() === new Date().toDateString() ? clock.format(when) : day.format(when)
    time.replaceChildren(mark)
    if (flash) this.#flash()
  }

  #flash() {
    clearTimeout(this.#flashed)
    this.element.classList.remove("changed")
    void this.element.offsetWidth // so that a second change begins the animation anew
    this.element.classList.add("changed")
    this.#flashed = setTimeout(() => this.element.classList.remove("changed"), 3000)
  }
}

function count(orders) {
  const counts = STATUSES.map((status) => [orders.filter((order) => order.status === status).length, status])
  const text = counts.filter(([number]) => number > 0).map(([number, status]) => `${number} ${status}`).join(" · ")
  document.getElementById("counts").textContent = text
  document.getElementById("empty").hidden = orders.length > 0
}
