// The picture of an editor: from a Load Image that feeds it at once, from everything else after a run.
import { locator, sourceOf } from './graph.js'
/** @import { Api, App, GraphNode, Output, Ref, Widget } from './types.js' */
/** @import { Source } from './graph.js' */

const LOADERS = ['LoadImage', 'LoadImageOutput']
const KINDS = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/bmp', 'image/avif']

/** "sub/name.png [input]", as a Load Image says it, in parts. @param {string} value @param {string} [type] where nothing is said */
function parseAnnotated(value, type = 'input') {
  const [, path, kind] = /^(.*?)(?: \[(input|output|temp)\])?$/s.exec(value) ?? ['', value, undefined]
  const at = path.lastIndexOf('/')
  return { filename: path.slice(at + 1), subfolder: at < 0 ? '' : path.slice(0, at), type: kind ?? type }
}

/** @param {Api} api @param {Ref} ref */
export const viewUrl = (api, { filename, subfolder = '', type = 'input' }) =>
  api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)

/**
 * Keeps an editor's picture up to date with what is connected to `node`'s input.
 * @param {{app: App, api: Api, node: GraphNode, input: string, toast: (text: string) => void,
 *   show: (image: HTMLImageElement | null, size?: {width: number, height: number}) => void}} at
 */
export function watchPicture({ app, api, node, input, show, toast }) {
  let key = '' // of what is shown or on its way
  let own = /** @type {{ref: Ref, from: string} | null} */ (null) // the node's own background
  let watched = /** @type {{widget: Widget, stop: () => void} | null} */ (null)

  function source() {
    const slot = node.inputs?.findIndex((i) => i.name === input) ?? -1
    return slot < 0 ? null : sourceOf(app, node, slot)
  }

  /** The widget of the Load Image that the picture comes from. */
  function loader(from = source()) {
    if (!from || from.slot !== 0 || !LOADERS.includes(from.node.comfyClass ?? '')) return null
    return from.node.widgets?.find((w) => w.name === 'image') ?? null
  }

  const nameOf = (/** @type {Source | null} */ from) => (from ? `${locator(from.node)}/${from.slot}` : '')

  /** A choice in the Load Image says nothing to the nodes behind it: listen at its widget. @param {Widget | null} widget */
  function watch(widget) {
    if (watched?.widget === widget) return
    watched?.stop()
    watched = null
    if (!widget) return
    const before = widget.callback
    let active = true
    /** @this {Widget} @param {...unknown} args */
    function heard(...args) {
      const out = before?.apply(this, args)
      if (active) refresh(true)
      return out
    }
    const stop = () => {
      active = false
      if (widget.callback === heard) widget.callback = before // else someone else has it in hand
    }
    widget.callback = heard
    watched = { widget, stop }
  }

  /** @param {string} url @param {boolean} again although it is the same name */
  function load(url, again) {
    if (url === key && !again) return
    key = url
    const image = new Image()
    image.onload = () => key === url && show(image, { width: image.naturalWidth, height: image.naturalHeight })
    image.onerror = () => {
      if (key !== url) return
      key = ''
      toast('The picture could not be loaded')
    }
    // what lies behind a name in the input folder may have changed, as after the mask editor
    image.src = again ? `${url}&t=${Date.now()}` : url
  }

  /** @param {boolean} [again] */
  function refresh(again = false) {
    if (!node.graph) return
    const from = source()
    const widget = loader(from)
    watch(widget)
    if (typeof widget?.value === 'string' && widget.value) {
      return load(viewUrl(api, parseAnnotated(widget.value, from?.node.comfyClass === 'LoadImageOutput' ? 'output' : 'input')), again)
    }
    if (!own) executed(app.nodeOutputs?.[locator(node)], false)
    if (own && own.from === nameOf(from)) return load(viewUrl(api, own.ref), false)
    if (!from && key) {
      key = ''
      show(null)
    }
  }

  /** What the node gave when it ran. @param {Output | undefined} output @param {boolean} [now] */
  function executed(output, now = true) {
    const ref = output?.drag_background?.[0]
    if (!ref?.filename) return
    own = { ref, from: nameOf(source()) }
    if (now) refresh()
  }

  /** A file that was dropped or pasted goes into the Load Image in front; there is one made if nothing is. @param {File} file */
  async function upload(file) {
    if (!KINDS.includes(file.type)) return toast('This is no picture that Load Image reads: use PNG, JPEG or WebP')
    const from = source()
    if (from && !loader(from)) return toast(`The picture comes from ${from.node.title ?? 'another node'}: disconnect it first`)
    const body = new FormData()
    body.append('image', file, file.name || 'pasted.png')
    const answer = await api.fetchApi('/upload/image', { method: 'POST', body })
    if (answer.status !== 200) return toast(`The picture could not be uploaded (${answer.status})`)
    const { name, subfolder } = await answer.json()
    const value = subfolder ? `${subfolder}/${name}` : name
    const widget = loader(from) ?? loader(connected())
    if (!widget) return
    const values = widget.options?.values
    if (Array.isArray(values) && !values.includes(value)) values.push(value)
    widget.value = value
    widget.callback?.(value)
    refresh(true)
  }

  /** A new Load Image to the left of the editor. */
  function connected() {
    const made = globalThis.LiteGraph?.createNode('LoadImage')
    if (!made) return null
    made.pos = [node.pos[0] - 340, node.pos[1]]
    node.graph?.add(made)
    made.connect(0, node, node.inputs?.findIndex((i) => i.name === input) ?? -1)
    return source()
  }

  return {
    refresh, executed, upload,
    connected: () => source() !== null,
    end() {
      key = ''
      watch(null)
    }
  }
}
