/**
 * The page of a board: draws the document, and turns what is done to it into edits and messages.
 *
 * It keeps no state of its own but a name and which note is being written: an edit shows in `session.data` at once, so
 * drawing the document is all there is to do.
 */

const NAME = "board-name"

export function show(session) {
  const page = {
    title: byId("title"), me: byId("me"), people: byId("people"), problem: byId("problem"), columns: byId("columns"),
    boards: byId("boards"), log: byId("log"),
  }
  const notes = new Map()
  let lists = []
  let writing = null
  let peers = []

  const tell = (error) => { page.problem.textContent = error.message }
  const attempt = (promise) => { page.problem.textContent = ""; promise.catch(tell) }
  const place = (id, ...rest) => ["/notes", session.data.notes.findIndex((note) => note.id === id), ...rest].join("/")

  const introduce = () => session.presence.set({ name: page.me.value.trim(), note: writing })
  page.me.value = localStorage.getItem(NAME) ?? ""
  page.me.addEventListener("change", () => { localStorage.setItem(NAME, page.me.value); introduce() })
  introduce()

  page.title.addEventListener("change", () => attempt(session.edit("/title", page.title.value)))
  session.subscribe("/title", (title) => {
    document.title = `${title} – board`
    if (page.title.value !== title) page.title.value = title
  })
  session.subscribe("/columns", (columns) => {
    lists = columns.map(() => make("ul", "notes"))
    page.columns.replaceChildren(...columns.map(column))
  })
  session.subscribe("/notes", draw)
  session.subscribe("/log", (log) => page.log.replaceChildren(...log.map((line) => make("li", "", line))))
  session.subscribe("/boards", (boards) => {
    const items = boards.map(({ name, title, notes, people }) => {
      const item = make("li")
      const link = make("a", "", title)
      link.href = `?board=${encodeURIComponent(name)}`
      if (name === session.data.name) link.setAttribute("aria-current", "page")
      item.append(link, make("span", "soft", ` ${count(notes, "note")}, ${people === 1 ? "1 person" : `${people} people`}`))
      return item
    })
    const focused = [...page.boards.children].findIndex((item) => item.contains(document.activeElement))
    page.boards.replaceChildren(...items)
    items[focused]?.firstChild.focus()
  })
  session.presence.watch((all) => {
    peers = all
    page.people.replaceChildren(...peers.map((peer) => {
      const called = nameOf(peer) + (peer.self ? " (you)" : "")
      const item = make("li", "", called)
      item.style.setProperty("--hue", hue(peer.id))
      return item
    }))
    for (const id of notes.keys()) drawBusy(id)
  })

  function column(heading, number) {
    const section = make("section", "column")
    const title = make("h2", "", heading)
    title.id = `column-${number}`
    section.setAttribute("aria-labelledby", title.id)
    const add = make("button", "add", "Add a note")
    add.type = "button"
    add.setAttribute("aria-label", `Add a note to ${heading}`)
    add.onclick = () => {
      const id = crypto.getRandomValues(new Uint32Array(3)).join("-") // not randomUUID(), which http in a LAN doesn't have
      attempt(session.insert("/notes/-", { id, text: "", column: number }))
      // It is there at once, and can be written into, whether the server can be reached or not.
      notes.get(id)?.text.focus()
    }
    section.append(title, lists[number], add)
    if (number === session.data.columns.length - 1) {
      const clear = make("button", "clear", "Clear")
      clear.type = "button"
      clear.setAttribute("aria-label", `Throw all notes of ${heading} away`)
      clear.onclick = () => attempt(session.send("ClearDone"))
      section.append(clear)
    }
    section.ondragover = (event) => { if (event.dataTransfer.types.includes("board/note")) event.preventDefault() }
    section.ondrop = (event) => {
      event.preventDefault()
      const id = event.dataTransfer.getData("board/note")
      // Not one of another window's board, or one that was removed while it was dragged.
      if (notes.has(id)) attempt(session.edit(place(id, "column"), number))
    }
    return section
  }

  function draw(all) {
    const focused = document.activeElement
    for (const [id, { element }] of notes) {
      if (!all.some((note) => note.id === id)) {
        if (id === writing) {
          page.problem.textContent = "The note that you were writing was removed."
          writing = null
          introduce()
        }
        element.remove()
        notes.delete(id)
      }
    }
    lists.forEach((list, number) => {
      const here = all.filter((note) => note.column === number)
      here.forEach((note, index) => {
        const { element } = drawn(note)
        if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null)
      })
    })
    // What is moved or disabled loses the focus, and who works by keyboard would be back at the top of the page.
    if (focused.isConnected && focused !== document.activeElement) focused.focus()
    if (focused.disabled) focused.parentElement.querySelector("button:enabled").focus()
  }

  // The server completes a new note with votes and by; until then there are none.
  function drawn({ id, text, column, votes = 0, by = "" }) {
    if (!notes.has(id)) {
      notes.set(id, blank(id))
      drawBusy(id) // who writes in it may have been told before
    }
    const note = notes.get(id)
    if (note.text.value !== text) rewrite(note.text, text)
    note.element.setAttribute("aria-label", text)
    note.by.textContent = by
    note.votes.textContent = `♥ ${votes}`
    note.votes.setAttribute("aria-label", `Vote for this note; it has ${count(votes, "vote")}`)
    note.left.disabled = column === 0
    note.right.disabled = column === session.data.columns.length - 1
    return note
  }

  function drawBusy(id) {
    const busy = peers.filter((peer) => !peer.self && peer.metadata.note === id).map(nameOf)
    notes.get(id).busy.textContent = busy.length > 0 ? `${busy.join(" and ")} ${busy.length > 1 ? "are" : "is"} writing …` : ""
  }

  function blank(id) {
    const element = make("li", "note")
    element.id = `note-${id}`
    const text = make("textarea")
    text.maxLength = 500
    text.rows = 2
    text.setAttribute("aria-label", "Text of a note")
    text.placeholder = "What is it?"
    text.oninput = () => attempt(session.edit(place(id, "text"), text.value))
    text.onfocus = () => { writing = id; introduce() }
    text.onblur = () => { writing = null; introduce() }
    const move = (step) => attempt(session.edit(place(id, "column"), session.data.notes.find((note) => note.id === id).column + step))
    const left = button("←", "Move to the column on the left", () => move(-1))
    const right = button("→", "Move to the column on the right", () => move(+1))
    const votes = button("♥ 0", "Vote for this note", () => attempt(session.send("Vote", { note: id })))
    const remove = button("×", "Remove this note", () => {
      const neighbour = (element.nextElementSibling ?? element.previousElementSibling)?.querySelector("textarea")
      const next = neighbour ?? element.closest(".column").querySelector(".add")
      attempt(session.remove(place(id)))
      next.focus()
    })
    // All notes have buttons of the same names, so a screen reader adds which note it is.
    for (const each of [left, right, votes, remove]) each.setAttribute("aria-describedby", element.id)
    const grip = make("span", "grip", "⠿")
    grip.draggable = true
    grip.title = "Drag to another column"
    grip.setAttribute("aria-hidden", "true")
    grip.ondragstart = (event) => event.dataTransfer.setData("board/note", id)
    const by = make("span", "soft")
    const busy = make("span", "busy")
    busy.setAttribute("role", "status")
    const tools = make("div", "tools")
    tools.append(grip, by, left, right, votes, remove)
    element.append(text, busy, tools)
    return { element, text, by, votes, left, right, busy }
  }
}

const count = (number, word) => `${number} ${word}${number === 1 ? "" : "s"}`
const byId = (id) => document.getElementById(id)

/** The name that the login gave, else the one that their page gave, which may be anything. */
function nameOf({ name, metadata }) {
  return name ?? ((typeof metadata.name === "string" && metadata.name.trim().slice(0, 24)) || "Somebody")
}

/** Changes a text only where it differs, so that the caret of who is writing in it stays where it is. */
function rewrite(area, text) {
  const { value } = area
  const shorter = Math.min(value.length, text.length)
  let before = 0
  while (before < shorter && value[before] === text[before]) before++
  let after = 0
  while (after < shorter - before && value.at(-1 - after) === text.at(-1 - after)) after++
  area.setRangeText(text.slice(before, text.length - after), before, value.length - after, "preserve")
}

/** A colour for a person: the same one on every page. */
function hue(id) {
  let sum = 0
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) % 360
  return sum
}

function button(face, name, onclick) {
  const element = make("button", "", face)
  element.type = "button"
  element.setAttribute("aria-label", name)
  element.title = name
  element.onclick = onclick
  return element
}

function make(tag, className = "", text = "") {
  const element = document.createElement(tag)
  if (className !== "") element.className = className
  if (text !== "") element.textContent = text
  return element
}
