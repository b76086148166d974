"""Whether what a page says can be read."""

_POOR_TEXTS = """() => {
    const rgba = (text) => {
        const context = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true })
        context.fillStyle = text
        context.fillRect(0, 0, 1, 1)
        const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data
        return [red, green, blue, alpha / 255]
    }
    const light = (colour) => {
        const [r, g, b] = colour.slice(0, 3).map((part) => part / 255)
            .map((part) => part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        return 0.2126 * r + 0.7152 * g + 0.0722 * b
    }
    const ground = (element) => {
        for (let at = element; at !== null; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor)
            if (colour[3] > 0.99) return colour
        }
        return [255, 255, 255, 1]
    }
    const opacity = (element) =>
        element === null ? 1 : getComputedStyle(element).opacity * opacity(element.parentElement)
    const elements = new Set(document.querySelectorAll("input, textarea"))
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
    while (walker.nextNode()) if (walker.currentNode.data.trim()) elements.add(walker.currentNode.parentElement)
    const poor = []
    for (const element of elements) {
        if (!element.checkVisibility() || element.closest("script, noscript, svg, :disabled")) continue
        const below = ground(element)
        const seen = opacity(element)
        const colour = rgba(getComputedStyle(element).color)
        const above = colour.map((part, index) => part * seen + below[index] * (1 - seen))
        const [one, other] = [above, below].map(light)
        const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05)
        if (contrast < 4.5) poor.push(`${element.outerHTML.slice(0, 80)}: ${contrast.toFixed(2)}`)
    }
    return poor
}"""


def poor_texts(page):
    """The texts that can be seen and have less contrast than 4.5 to 1, but for what is disabled."""
    return page.evaluate(_POOR_TEXTS)
