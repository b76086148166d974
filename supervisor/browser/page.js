/**
 * What the page knows: how to reach its session, what was in its document, and whether it loaded itself anew.
 */

/**
 * Reads `<meta name="supervisor" content='{"session":"ID","token":"…","websocket":"/prefix/ticker/-/websocket",
 * "max_message_size":1048576}'>`.
 *
 * @returns {{session: string, token: string, url: string, maxMessageSize: number}} url: the websocket's, absolute;
 *   maxMessageSize: characters of a frame that the server takes
 */
export function readPage(document, location) {
  const content = document.querySelector('meta[name="supervisor"]')?.content
  if (!content) {
    throw new Error('This page has no <meta name="supervisor">: the server puts it into the head of the pages that it serves itself.')
  }
  const { session, token, websocket, max_message_size: maxMessageSize } = JSON.parse(content)
  const url = new URL(websocket, location.href)
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:"
  return { session, token, url: url.href, maxMessageSize }
}

/**
 * Reads `<script type="application/json" id="supervisor-data">{"epoch":"…","revision":17,"data":{…}}</script>`: the
 * document as it was when the page was made.
 *
 * @returns {{epoch: string, revision: number, data: object} | null} null: the page doesn't carry it
 */
export function readFirst(document) {
  const text = document.getElementById("supervisor-data")?.textContent
  return text ? JSON.parse(text) : null
}

/**
 * Keeps a page from loading itself anew in circles: one reload, then it has to go live before it may do it again.
 *
 * The mark lives in the tab's session storage, per path, because nothing else survives a reload and ends with the tab.
 */
export class ReloadGuard {
  #key
  #storage

  /** @param {{location: Location, storage: () => Storage}} surroundings storage may throw: visitors can forbid it */
  constructor({ location, storage }) {
    this.#key = `supervisor:reloaded:${location.pathname}`
    this.#storage = storage
    /** Is this page load itself such a reload, after which the page was not live yet? */
    this.wasReload = this.#attempt((store) => store.getItem(this.#key) !== null) ?? false
  }

  /** Call it before a reload. False: the mark can't be kept, so a reload could go in circles. Don't. */
  mark() {
    return this.#attempt((store) => {
      store.setItem(this.#key, "1")
      return true
    }) ?? false
  }

  /** Call it when the page is live. */
  clear() {
    this.#attempt((store) => store.removeItem(this.#key))
  }

  #attempt(action) {
    try {
      return action(this.#storage())
    } catch {
      return undefined
    }
  }
}
