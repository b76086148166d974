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
    page.boards.replaceChildren(...boards.map(({ name, title, notes, people }) => {
      const item = make("li")
      const link = make("a", "", title)
      link.href = `?board=${encodeURIComponent(name)}`
      if (name === session.data.name) link.setAttribute("aria-current", "page")
      item.append(link, make("span", "soft", ` ${count(notes, "note")}, ${people === 1 ? "1 person" : `${people} people`}`))
      return item
    }))
  })
  session.presence.watch((peers) => {
    page.people.replaceChildren(...peers.map((peer) => {
      const called = nameOf(peer) + (peer.self ? " (you)" : "")
      const item = make("li", "", called)
      item.style.setProperty("--hue", hue(peer.id))
      return item
    }))
    for (const [id, note] of notes) {
      const busy = peers.filter((peer) => !peer.self && peer.metadata.note === id).map(nameOf)
      note.busy.textContent = busy.length > 0 ? `${busy.join(" and ")} writing …` : ""
    }
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
      const id = crypto.randomUUID()
      // The server completes the note, so what is written into it must build on what it makes of it.
      attempt(session.insert("/notes/-", { id, text: "", column: number }).then(() => notes.get(id)?.text.focus()))
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
      attempt(session.edit(place(event.dataTransfer.getData("board/note"), "column"), number))
    }
    return section
  }

  function draw(all) {
    for (const [id, { element }] of notes) {
      if (!all.some((note) => note.id === id)) {
        element.remove()
        notes.delete(id)
      }
    }
    lists.forEach((list, number) => {
      const here = all.filter((note) => note.column === number)
      here.forEach((note, index) => {
        const { element } = drawn(note)
        // Moving an element takes the focus from it, so only what stands elsewhere is moved.
        if (list.children[index] !== element) list.insertBefore(element, list.children[index] ?? null)
      })
    })
  }

  function drawn({ id, text, column, votes = 0, by = "" }) {
    if (!notes.has(id)) notes.set(id, blank(id))
    const note = notes.get(id)
    if (note.text.value !== text) note.text.value = text
    note.by.textContent = by
    note.votes.textContent = `+${votes}`
    note.votes.setAttribute("aria-label", `Vote for this note; it has ${count(votes, "vote")}`)
    note.left.disabled = column === 0
    note.right.disabled = column === session.data.columns.length - 1
    return note
  }

  function blank(id) {
    const element = make("li", "note")
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
    const votes = button("+0", "Vote", () => attempt(session.send("Vote", { note: id })))
    const remove = button("×", "Remove this note", () => attempt(session.remove(place(id))))
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
const nameOf = ({ name, metadata }) => name ?? (String(metadata.name ?? "").slice(0, 24) || "Somebody")
const byId = (id) => document.getElementById(id)

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
