/**
 * slic.js in a worker: new Worker(url, { type: 'module' }). Takes {id, rgba, width, height, count?, iterations?} and
 * answers {id, ...segments}, what slic() gives, or {id, error}. In the page, which imports every file of this folder,
 * this one does nothing.
 */
import { slic } from './slic.js'

/**
 * @typedef {{id: number, rgba: Uint8ClampedArray, width: number, height: number, count?: number, iterations?: number}}
 *   Asked
 * @typedef {object} Scope a worker's, which the page's types leave out
 * @property {typeof Object} [WorkerGlobalScope]
 * @property {(type: 'message', heard: (e: {data: Asked}) => void) => void} addEventListener
 * @property {(answer: object, owned?: ArrayBufferLike[]) => void} postMessage
 */

const scope = /** @type {Scope} */ (/** @type {unknown} */ (globalThis))

if (typeof scope.WorkerGlobalScope === 'function' && scope instanceof scope.WorkerGlobalScope) {
  scope.addEventListener('message', ({ data: { id, rgba, width, height, count, iterations } }) => {
    try {
      const segments = slic(rgba, width, height, count, iterations)
      scope.postMessage({ id, ...segments }, [segments.labels.buffer, segments.colours.buffer])
    } catch (e) {
      scope.postMessage({ id, error: String(e) })
    }
  })
}
