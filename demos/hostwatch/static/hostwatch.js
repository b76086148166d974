/**
 * The page: a checkbox for each metric, a card for each chosen one. All of it is drawn from the session's document,
 * so what a reconnect or another tab of the same session brings needs no code here.
 */

import { Card } from "./card.js"

export function watch(session) {
  const charts = document.getElementById("charts")
  const cards = new Map()

  document.getElementById("host").textContent = `on ${session.data.host}`
  const boxes = makeChoices(session)

  session.subscribe("/chosen", (chosen, before) => {
    for (const [metric, box] of boxes) box.checked = chosen.includes(metric)
    if (before !== undefined) keepInAddress(chosen)
  })

  const draw = onceInAWhile(() => {
    const { chosen, metrics, points, notes, seconds } = session.data
    for (const [metric, card] of cards) {
      if (!chosen.includes(metric)) {
        card.element.remove()
        cards.delete(metric)
      }
    }
    for (const metric of chosen) {
      if (!cards.has(metric)) cards.set(metric, new Card(metric, metrics[metric], seconds))
      cards.get(metric).draw(points[metric], notes[metric])
    }
    // Put in order only when they aren't: an element that is moved loses what a screen reader was reading in it.
    const wanted = chosen.map((metric) => cards.get(metric).element)
    if (wanted.some((element, place) => charts.children[place] !== element)) charts.replaceChildren(...wanted)
  })

  // Paused, a page goes on listening and shows all of it afterwards. A new choice is drawn all the same.
  const pause = document.getElementById("pause")
  const isPaused = () => pause.getAttribute("aria-pressed") === "true"
  pause.addEventListener("click", () => {
    pause.setAttribute("aria-pressed", String(!isPaused()))
    draw()
  })
  session.subscribe("/points", () => { if (!isPaused()) draw() })
  session.subscribe("/chosen", draw)
  session.onStatus(({ state }) => { document.body.dataset.state = state })
}

function makeChoices(session) {
  const boxes = new Map()
  const problem = document.getElementById("problem")
  for (const [metric, { title }] of Object.entries(session.data.metrics)) {
    const box = document.createElement("input")
    box.type = "checkbox"
    box.addEventListener("change", async () => {
      problem.textContent = ""
      try {
        await session.send("Choose", { metric, shown: box.checked })
      } catch (error) {
        problem.textContent = error.text
        box.checked = session.data.chosen.includes(metric)
      }
    })
    const label = document.createElement("label")
    label.append(box, title)
    document.getElementById("choices").append(label)
    boxes.set(metric, box)
  }
  return boxes
}

/** The address names the choice, so that loading the page again, or sending it to somebody, keeps it. */
function keepInAddress(chosen) {
  const url = new URL(location.href)
  url.searchParams.set("show", chosen.join(","))
  history.replaceState(null, "", url)
}

/** Draws once per frame at most, not at all while nobody sees the page, and each second where less motion is wished. */
function onceInAWhile(draw) {
  const calm = matchMedia("(prefers-reduced-motion: reduce)")
  let isDue = false
  let drawnAt = -Infinity
  return () => {
    if (isDue) return
    isDue = true
    const delay = calm.matches ? Math.max(drawnAt + 1000 - performance.now(), 0) : 0
    setTimeout(() => requestAnimationFrame((now) => {
      isDue = false
      drawnAt = now
      draw()
    }), delay)
  }
}
