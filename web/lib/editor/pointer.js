// Mouse, pen and fingers: one finger is the tool, two move and zoom, the right button moves, a long press opens the menu.
import { openMenu } from './menu.js'
/** @import { BoxPoint, Drag, Editor, Slide } from './types.js' */

const LONG = 550 // ms

let shielded = false

/**
 * The host's own two-finger zoom listens on the canvas's container in the capture phase: touches in editors are kept from it. Once for
 * the page, as not every editor is destroyed: the host makes nodes that it never puts into a graph, when it copies some.
 */
function shieldTouches() {
  if (shielded) return
  shielded = true
  const stop = (/** @type {Event} */ e) => {
    if (e.target instanceof Element && e.target.closest('.drg')) e.stopPropagation()
  }
  for (const type of ['touchstart', 'touchmove', 'touchend', 'touchcancel']) window.addEventListener(type, stop, { capture: true, passive: true })
}

/** @param {Editor} ed */
export function listenPointer(ed) {
  const { canvas, el } = ed
  const signal = ed.off.signal
  /** @type {Map<number, BoxPoint>} */
  const fingers = new Map()
  let pinch = /** @type {ReturnType<typeof pinchOf> | null} */ (null)
  let penSeen = false
  let timer = 0

  shieldTouches()
  /**
   * @template {keyof HTMLElementEventMap} T
   * @param {T} type @param {(e: HTMLElementEventMap[T]) => void} fn @param {AddEventListenerOptions} [options]
   */
  const on = (type, fn, options = {}) => canvas.addEventListener(type, fn, { signal, ...options })

  on('pointerdown', (e) => {
    if (e.button === 1 && !ed.full) return // the host pans the graph
    e.stopPropagation()
    ed.focus()
    e.preventDefault() // after focus(): the sink keeps it
    ed.view.layout()
    canvas.setPointerCapture(e.pointerId)
    ed.coarse = e.pointerType === 'touch'
    if (e.pointerType === 'pen') penSeen = true
    ed.cursor = null
    ed.byKeys = false
    const at = ed.view.toBox(e)
    fingers.set(e.pointerId, at)
    clearTimeout(timer)
    if (ed.gesture?.keyed) cancel()
    if (fingers.size === 2) {
      cancel()
      pinch = pinchOf()
      return
    }
    if (fingers.size > 2) return
    const palm = penSeen && e.pointerType === 'touch' // a hand that rests beside the pen moves the picture, it does not draw
    if (ed.tool === 'pan' || ed.space || e.button === 2 || e.button === 1 || palm) return begin(panGesture(e.button === 2, at), at, e)
    if (ed.showing === 'preview') return ed.say('This is what the model sees: Enter goes back to the drawing'), begin(panGesture(false, at), at, e)
    if (ed.showing === 'result') return begin(splitGesture(), at, e)
    const p = ed.view.toImage(at)
    if (e.pointerType === 'touch') {
      timer = setTimeout(() => {
        cancel()
        fingers.clear()
        openMenu(ed, at, p)
      }, LONG)
    }
    begin(ed.tools[ed.tool].down(ed, p, e), at, e)
  })

  on('pointermove', (e) => {
    const at = ed.view.toBox(e)
    if (fingers.has(e.pointerId)) fingers.set(e.pointerId, at)
    if (pinch && fingers.size === 2) return movePinch()
    ed.hover = ed.view.toImage(at)
    const { gesture } = ed
    if (gesture) {
      e.stopPropagation()
      const { from = at } = gesture
      if (timer && Math.hypot(at[0] - from[0], at[1] - from[1]) > 8) clearTimeout(timer)
      if (gesture.box) gesture.box(at)
      else {
        const fine = gesture.name === 'lasso' || gesture.name === 'stroke' ? e.getCoalescedEvents?.() ?? [] : []
        for (const c of fine.length ? fine : [e]) gesture.move(ed.view.toImage(ed.view.toBox(c)), e)
      }
      return ed.draw()
    }
    if (ed.showing !== 'edit') return
    const tool = ed.tools[ed.tool]
    const { hot } = ed
    canvas.style.cursor = ed.space ? 'grab' : tool.hover?.(ed, ed.hover) ?? tool.cursor
    if (tool.draw || hot !== ed.hot) ed.draw()
    ed.parts.status.place(ed.hover)
  })

  on('pointerup', (e) => {
    clearTimeout(timer)
    fingers.delete(e.pointerId)
    if (pinch) {
      if (!fingers.size) pinch = null
      return
    }
    const { gesture } = ed
    if (!gesture || gesture.pointer !== e.pointerId) return
    e.stopPropagation()
    ed.gesture = null
    gesture.end()
    ed.sync()
  })

  on('pointercancel', (e) => {
    fingers.delete(e.pointerId)
    if (!fingers.size) pinch = null
    cancel()
  })

  on('pointerleave', () => {
    ed.hover = null
    ed.hot = null
    ed.parts.status.place(null)
    ed.draw()
  })

  on('pointerenter', () => ed.layout()) // the host's zoom may have changed: canvas as sharp as the screen

  on('dblclick', (e) => {
    e.stopPropagation()
    if (ed.draft) ed.tools.polygon.finish(ed)
    ed.sync()
  })

  on('contextmenu', (e) => {
    e.preventDefault()
    e.stopPropagation()
  })

  on(
    'wheel',
    (e) => {
      const mine = ed.full || (el.contains(document.activeElement) && !e.ctrlKey && !e.metaKey)
      if (!mine) return // not in the editor yet: the wheel is the graph's
      e.preventDefault()
      e.stopPropagation()
      const step = e.deltaMode === 1 ? e.deltaY * 30 : e.deltaY
      if (e.altKey && ed.tools[ed.tool].sized) ed.parts.resizeBrush(step < 0 ? 1.15 : 1 / 1.15)
      else {
        ed.view.zoomAt(ed.view.toBox(e), Math.exp(-step * (e.ctrlKey ? 0.01 : 0.0015)))
        ed.view.clamp(ed.size)
      }
      ed.sync()
    },
    { passive: false }
  )

  /** @param {Drag | Slide | null} gesture @param {BoxPoint} at @param {PointerEvent} e */
  function begin(gesture, at, e) {
    if (!gesture) return ed.sync()
    gesture.pointer = e.pointerId
    gesture.from = at
    ed.gesture = gesture
    ed.sync()
  }

  function cancel() {
    clearTimeout(timer)
    const { gesture } = ed
    ed.gesture = null
    gesture?.cancel?.()
    ed.revert()
  }

  /** @param {boolean} right a click of the right button that does not move opens the menu @param {BoxPoint} from @returns {Slide} */
  function panGesture(right, from) {
    let last = from
    let far = 0
    canvas.style.cursor = 'grabbing'
    return {
      name: 'pan',
      box(at) {
        const [dx, dy] = [at[0] - last[0], at[1] - last[1]]
        far += Math.hypot(dx, dy)
        ed.view.pan(dx, dy)
        ed.view.clamp(ed.size)
        last = at
      },
      end() {
        canvas.style.cursor = ed.tools[ed.tool].cursor
        if (right && far < 4) openMenu(ed, from, ed.view.toImage(from))
      }
    }
  }

  /** @returns {Slide} */
  function splitGesture() {
    const put = (/** @type {BoxPoint} */ at) => {
      ed.split = Math.min(Math.max((at[0] - ed.view.x) / (ed.size.width * ed.view.scale), 0), 1)
    }
    return { name: 'split', box: put, end() {} }
  }

  function pinchOf() {
    const [a, b] = [...fingers.values()]
    return { x: (a[0] + b[0]) / 2, y: (a[1] + b[1]) / 2, d: Math.hypot(a[0] - b[0], a[1] - b[1]) }
  }

  function movePinch() {
    const now = pinchOf()
    if (!pinch) return
    ed.view.pan(now.x - pinch.x, now.y - pinch.y)
    if (pinch.d > 4) ed.view.zoomAt([now.x, now.y], now.d / pinch.d)
    ed.view.clamp(ed.size)
    pinch = now
    ed.draw()
  }
}
